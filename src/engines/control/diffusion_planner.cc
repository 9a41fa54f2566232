#include "engines/control/diffusion_planner.h"

#include <utility>

namespace reprise {

DiffusionPlanner::DiffusionPlanner(DiffusionPolicy& policy) : policy_(policy) {
  const PolicyHparams& hp = policy.hparams();
  shape_ = {hp.n_obs_steps, hp.n_horizon, hp.n_action_steps, hp.n_obs, hp.n_action};
}

std::vector<float> DiffusionPlanner::plan(const PlanRequest& request) {
  ActionChunk chunk =
      policy_.act({.obs = request.obs, .seed = request.seed, .frozen = request.frozen});
  return std::move(chunk.actions);
}

}  // namespace reprise
