#pragma once

#include <cstdint>

namespace reprise {

// One warning a run when observations lay far outside of what the policy was trained on: n_outside
// is ControlCounts::n_obs_outside of all its calls.
void warn_of_outside(int64_t n_outside);

}  // namespace reprise
