#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engines/control/action_noise.h"
#include "engines/control/branch_plan.h"
#include "engines/control/control_counts.h"
#include "engines/control/denoiser_sampler.h"
#include "nets/policy_transformer.h"

namespace reprise {

// Told the output [n_robots * n_rows][d] of a branch b that step k computed, before it joins the
// rows.
using BranchObserver = std::function<void(int32_t b, int32_t k, std::span<const float> output)>;

// What is denoised for one robot, in normalised numbers.
struct ActionDenoising {
  std::span<const float> obs;     // [To][Do]
  std::span<const float> noise;   // [1 + steps that need noise][Tp][channels], or longer
  std::span<const float> frozen;  // [n][Da]: the actions from row To - 1 on that are known
  uint64_t frozen_seed = 0;       // of the noise that they are diffused with
  std::span<float> actions;       // [Tp][Da], the result
};

// Denoises the actions of some robots on one thread, carrying out a plan. What it keeps from step
// to step is made anew in every run: nothing of one call is seen by the next.
class BranchRunner {
 public:
  // For up to n_robots robots. All three must outlive it.
  BranchRunner(const PolicyTransformerModel& model, const ActionSampler& sampler,
               const BranchPlan& plan, int32_t n_robots);

  void run(std::span<const ActionDenoising> robots, const BranchObserver& observer,
           ControlCounts& counts);

  int32_t n_robots() const { return n_robots_; }

 private:
  struct Run {
    std::span<const ActionDenoising> robots;
    const BranchObserver& observer;
    int64_t n_robots;
    int64_t n_values;  // robots * rows of each in the network * d
  };

  void begin(const Run& run);
  void put_known(const Run& run, int32_t k);
  std::vector<float>::iterator x_row(size_t i_robot, int64_t t);
  void predict_step(const Run& run, int32_t k);
  void compute(const Run& run, int32_t k, const BranchWork& work);
  // out += kept outputs [begin, end), or out = their sum.
  void add_kept(const Run& run, const BranchWork& work, float* out) const;
  void sum_kept(const Run& run, const BranchWork& work, float* out) const;
  void step_robots(const Run& run, int32_t k);
  ControlCounts step_counts(int32_t k) const;

  const PolicyTransformerModel& model_;
  const ActionSampler& sampler_;
  const BranchPlan& plan_;
  int32_t n_robots_;
  PolicyMemory memory_;
  PolicyWorkspace workspace_;
  std::vector<ControlCounts> steps_;        // of one robot
  std::vector<float> x_, y_;                // [n_robots][Tp][channels]
  std::vector<float> h_;                    // [rows][d]
  std::vector<float> fresh_;                // [rows][d]: an output that is not kept
  std::vector<float> outputs_;              // [plan.n_outputs()][rows][d]
  std::vector<float> sums_;                 // [plan.n_sums()][rows][d]
  std::vector<float> frozen_z_;             // [Tp][Da]
  std::vector<float> diffused_;             // [Tp][Da]: frozen actions with noise
  std::vector<NormalStream> frozen_noise_;  // one a robot
};

}  // namespace reprise
