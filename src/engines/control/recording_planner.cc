#include "engines/control/recording_planner.h"

#include <cassert>

#include "engines/control/pusht_eval.h"

namespace reprise {
namespace {

std::vector<float> executed(const std::vector<float>& chunk, const PlannerShape& shape) {
  const std::ptrdiff_t first = std::ptrdiff_t{shape.n_obs_steps - 1} * shape.n_action;
  const std::ptrdiff_t n = std::ptrdiff_t{shape.n_action_steps} * shape.n_action;
  assert(first + n <= std::ssize(chunk));
  return {chunk.begin() + first, chunk.begin() + first + n};
}

}  // namespace

std::vector<float> RecordingPlanner::plan(const PlanRequest& request) {
  std::vector<float> chunk = planner_.plan(request);
  plans_.push_back({{request.obs.begin(), request.obs.end()},
                    {request.frozen.begin(), request.frozen.end()},
                    request.seed,
                    chunk});
  return chunk;
}

double replay_rmse(std::span<const RecordedPlan> plans, ChunkPlanner& planner,
                   const std::function<void(int64_t i_plan)>& on_plan) {
  std::vector<std::vector<float>> before;
  std::vector<std::vector<float>> now;
  for (const RecordedPlan& plan : plans) {
    on_plan(std::ssize(now));
    before.push_back(executed(plan.chunk, planner.shape()));
    now.push_back(executed(planner.plan({plan.obs, plan.frozen, plan.seed}), planner.shape()));
  }
  return action_rmse(before, now);
}

}  // namespace reprise
