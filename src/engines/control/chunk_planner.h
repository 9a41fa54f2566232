#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise {

// How much a planner sees and says at once (Diffusion Policy, arXiv 2303.04137, section III).
struct PlannerShape {
  int32_t n_obs_steps = 1;     // To: observations a plan is made from, the last one is "now"
  int32_t n_horizon = 1;       // Tp: actions of a chunk; the one at index To - 1 is "now"
  int32_t n_action_steps = 1;  // Ta: of them executed before the next plan
  int32_t n_obs = 0;           // Do
  int32_t n_action = 0;        // Da

  // Actions of a chunk from "now" to the horizon's end.
  int32_t n_usable() const { return n_horizon - n_obs_steps + 1; }
};

struct PlanRequest {
  std::span<const float> obs;  // [n_obs_steps][n_obs], oldest first, in the environment's units
  // [n][n_action]: the actions from "now" on that will have happened when the plan is there; the
  // planner may bring the rest of its chunk into line with them. Empty: nothing is bound.
  std::span<const float> frozen;
  uint64_t seed = 0;  // the same request with the same seed gives the same chunk
};

// Turns observations into the actions of the next control steps.
class ChunkPlanner {
 public:
  virtual ~ChunkPlanner() = default;

  virtual const PlannerShape& shape() const = 0;
  // A chunk [n_horizon][n_action] in the environment's units. Called by one thread at a time, which
  // need not be the one that made the planner. Throws Error on what it cannot plan from.
  virtual std::vector<float> plan(const PlanRequest& request) = 0;
};

// Plans nothing: zeros at once. What a control loop around it measures is the machine's own jitter.
class IdlePlanner final : public ChunkPlanner {
 public:
  explicit IdlePlanner(const PlannerShape& shape) : shape_(shape) {}
  const PlannerShape& shape() const override { return shape_; }
  std::vector<float> plan(const PlanRequest& /*request*/) override {
    return std::vector<float>(static_cast<size_t>(shape_.n_horizon) * shape_.n_action, 0.0F);
  }

 private:
  PlannerShape shape_;
};

}  // namespace reprise
