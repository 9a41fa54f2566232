#pragma once

#include "policies/kv/split.h"

namespace reprise {

// The split of `rule` with at least n_min candidates in every layer: layers that would get less are
// fixed at n_min and the rule splits what is left among the others, until none is below. n_min is
// lowered to what the cap and an even share of the budget allow. The rule must depend on the
// preferences and caps of the known layers alone (split_waterfill, split_official). Source: ours.
std::vector<int32_t> split_with_floor(std::vector<int32_t> (*rule)(const SplitInput&),
                                      const SplitInput& in, int32_t n_min);

}  // namespace reprise
