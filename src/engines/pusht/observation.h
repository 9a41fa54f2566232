#pragma once

#include <array>
#include <cstdint>

#include "engines/pusht/pusht_geometry.h"

namespace reprise {

inline constexpr int32_t kPushtObservation = 18;
inline constexpr int32_t kPushtAction = 2;

// What a policy sees, in pixels: x and y of the block's 8 corners around its outline
// (kBlockOutline), then those of the agent. Throws Error as check_pusht_state.
std::array<float, kPushtObservation> observation(const PushtState& state);

}  // namespace reprise
