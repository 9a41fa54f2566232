#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engines/control/control_loop.h"

namespace reprise::test {

inline constexpr PlannerShape kPlannerShape{
    .n_obs_steps = 2, .n_horizon = 16, .n_action_steps = 8, .n_obs = 1, .n_action = 2};

// Sees how many actions were applied, and keeps them all.
class CountingEnvironment final : public Environment {
 public:
  explicit CountingEnvironment(int64_t n_until_done = std::numeric_limits<int64_t>::max())
      : n_until_done_(n_until_done) {}
  int32_t n_obs() const override { return 1; }
  int32_t n_action() const override { return 2; }
  void observe(std::span<float> obs) const override { obs[0] = static_cast<float>(applied.size()); }
  void apply(std::span<const float> action) override {
    applied.emplace_back(action.begin(), action.end());
  }
  bool is_done() const override { return std::ssize(applied) >= n_until_done_; }
  double score() const override { return 0.25; }

  std::vector<std::vector<float>> applied;

 private:
  int64_t n_until_done_;
};

// The action at index i of a chunk is {step it is meant for, number of the chunk}.
class CountingPlanner final : public ChunkPlanner {
 public:
  explicit CountingPlanner(const PlannerShape& shape = kPlannerShape) : shape_(shape) {}
  const PlannerShape& shape() const override { return shape_; }
  std::vector<float> plan(const PlanRequest& request) override {
    seen.push_back({{request.obs.begin(), request.obs.end()},
                    {request.frozen.begin(), request.frozen.end()},
                    request.seed});
    std::vector<float> chunk;
    for (int32_t i = 0; i < shape_.n_horizon; ++i) {
      chunk.push_back(request.obs.back() + static_cast<float>(i - shape_.n_obs_steps + 1));
      chunk.push_back(static_cast<float>(seen.size() - 1));
    }
    return chunk;
  }

  struct Seen {
    std::vector<float> obs;
    std::vector<float> frozen;
    uint64_t seed;
  };
  std::vector<Seen> seen;

 private:
  PlannerShape shape_;
};

}  // namespace reprise::test
