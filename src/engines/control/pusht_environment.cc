#include "engines/control/pusht_environment.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/pusht/coverage.h"
#include "engines/pusht/legacy_reset.h"
#include "engines/pusht/observation.h"

namespace reprise {

std::string pusht_misfit(const PolicyHparams& hparams) {
  constexpr int32_t kReferenceKeypoints = 20;  // of the published low-dimensional data
  if (hparams.n_obs == kPushtObservation && hparams.n_action == kPushtAction) return "";
  return fmt::format(
      "it sees {} numbers and gives {}, Push-T here has {} (8 corners of the block's outline and "
      "the agent, x and y each) and {}{}",
      hparams.n_obs, hparams.n_action, kPushtObservation, kPushtAction,
      hparams.n_obs == kReferenceKeypoints
          ? "; the reference's low-dimensional data have 9 keypoints and the agent, 20"
          : "");
}

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
