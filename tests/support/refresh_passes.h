#pragma once

#include <string>
#include <string_view>

#include "policies/registry.h"

namespace reprise::test {

// The kinds of n passes over one span [40, 60) of a canvas of 100 rows: F all rows, P the rest.
// Passes since the last full one are counted as an engine does.
inline std::string refresh_passes(std::string_view spec, int32_t n) {
  const auto policy = make_refresh_policy(spec);
  std::string kinds;
  int32_t n_since_full = 0;
  for (int32_t i_step = 0; i_step < n; ++i_step) {
    const RefreshRows rows = policy->rows({.n_canvas = 100,
                                           .first = 40,
                                           .end = i_step == 0 ? -1 : 60,
                                           .i_step = i_step,
                                           .n_since_full = n_since_full});
    kinds += rows.n() == 100 ? 'F' : 'P';
    n_since_full = rows.n() == 100 ? 1 : n_since_full + 1;
  }
  return kinds;
}

}  // namespace reprise::test
