#include "engines/pusht/observation.h"

namespace reprise {

std::array<float, kPushtObservation> observation(const PushtState& state) {
  check_pusht_state(state);
  std::array<float, kPushtObservation> out;
  size_t i = 0;
  const auto write = [&](Vec2 point) {
    out[i++] = static_cast<float>(point.x);
    out[i++] = static_cast<float>(point.y);
  };
  for (const Vec2 corner : block_outline(state.block, state.angle)) write(corner);
  write(state.agent);
  return out;
}

}  // namespace reprise
