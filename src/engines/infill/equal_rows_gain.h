#pragma once

#include <vector>

#include "engines/infill/dllm_eval.h"

namespace reprise {

// The gain of one method over the best that fixed spans reach at as many token-forwards, in shares
// of right answers: the others' points of (rows, share) are joined where they rise, and
// level in front of the first and behind the last. The interval is
// that of 1,000 draws of prompts with replacement (percentile bootstrap, 95 %).
struct GainAtEqualRows {
  double gain = 0;
  double low = 0;
  double high = 0;
};
GainAtEqualRows gain_at_equal_rows(const DllmResult& method,
                                   const std::vector<const DllmResult*>& fixed);

}  // namespace reprise
