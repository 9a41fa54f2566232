#include "engines/control/pusht_environment.h"

#include <algorithm>

#include "engines/pusht/coverage.h"
#include "engines/pusht/legacy_reset.h"
#include "engines/pusht/observation.h"

namespace reprise {

PushtEnvironment::PushtEnvironment(uint32_t seed) : world_(legacy_state(seed)) {}

int32_t PushtEnvironment::n_obs() const { return kPushtObservation; }
int32_t PushtEnvironment::n_action() const { return kPushtAction; }

void PushtEnvironment::observe(std::span<float> obs) const {
  std::ranges::copy(observation(world_.state()), obs.begin());
}

void PushtEnvironment::apply(std::span<const float> action) {
  world_.control({action[0], action[1]});
  const double covered = coverage(world_.state());
  reward_ = pusht_reward(covered);
  best_reward_ = std::max(best_reward_, reward_);
  is_solved_ = is_solved_ || is_solved(covered);
}

}  // namespace reprise
