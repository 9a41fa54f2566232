#pragma once

#include "engines/control/chunk_planner.h"
#include "engines/control/diffusion_policy.h"

namespace reprise {

// A diffusion policy as the planner of a control loop.
class DiffusionPlanner final : public ChunkPlanner {
 public:
  explicit DiffusionPlanner(DiffusionPolicy& policy);

  const PlannerShape& shape() const override { return shape_; }
  std::vector<float> plan(const PlanRequest& request) override;

 private:
  DiffusionPolicy& policy_;
  PlannerShape shape_;
};

}  // namespace reprise
