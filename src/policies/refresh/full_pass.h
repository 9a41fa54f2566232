#pragma once

#include <cstdint>

#include "policies/options.h"
#include "policies/refresh/refresh_policy.h"

namespace reprise {

// Passes that compute every row: a span's first, and with every = n > 0 each n-th pass since the
// last such.
inline bool is_full_pass(const RefreshView& view, int32_t every) {
  return view.i_step == 0 || (every > 0 && view.n_since_full >= every);
}

inline OptionSpec every_option() {
  return int_option("every", 0, 0, 65536,
                    "passes from one that computes every row to the next; 0: only the first pass "
                    "of a span does");
}

}  // namespace reprise
