#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engines/control/chunk_planner.h"

namespace reprise {

// One request to a planner, and its answer.
struct RecordedPlan {
  std::vector<float> obs;     // [To][Do]
  std::vector<float> frozen;  // [n][Da]
  uint64_t seed = 0;
  std::vector<float> chunk;  // [Tp][Da]
};

// Keeps what another planner is asked and what it answers, so that a third can be asked the same.
class RecordingPlanner final : public ChunkPlanner {
 public:
  explicit RecordingPlanner(ChunkPlanner& planner) : planner_(planner) {}

  const PlannerShape& shape() const override { return planner_.shape(); }
  std::vector<float> plan(const PlanRequest& request) override;
  // In their order. May be read while the planner is idle.
  const std::vector<RecordedPlan>& plans() const { return plans_; }

 private:
  ChunkPlanner& planner_;
  std::vector<RecordedPlan> plans_;
};

// Asks `planner` what was asked before. Root of the mean square of the difference between its
// answers and the recorded ones, over the actions that a chunk is executed for (rows To - 1 to
// To - 1 + Ta), in the actions' units. Told before every plan; may throw to stop.
double replay_rmse(std::span<const RecordedPlan> plans, ChunkPlanner& planner,
                   const std::function<void(int64_t i_plan)>& on_plan);

}  // namespace reprise
