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

// Told the output [n_robots * Tp][d] of a branch b that step k computed, before it joins the rows.
using BranchObserver = std::function<void(int32_t b, int32_t k, std::span<const float> output)>;

// What is denoised for one robot, in normalised numbers.
struct ActionDenoising {
  std::span<const float> obs;     // [To][Do]
  std::span<const float> noise;   // [1 + steps that need noise][Tp][Da], or longer
  std::span<const float> frozen;  // [n][Da]: the actions from row To - 1 on that are known
  uint64_t frozen_seed = 0;       // of the noise that they are diffused with
  std::span<float> actions;       // [Tp][Da], the result
};

// Denoises the actions of some robots, carrying out a plan, with a team of threads. What it keeps
// from step to step is cleared with every run: nothing of one call is seen by the next.
class BranchRunner {
 public:
  // For up to n_robots robots and n_threads threads. All three must outlive it.
  BranchRunner(const PolicyTransformerModel& model, const ActionSampler& sampler,
               const BranchPlan& plan, int32_t n_robots, int32_t n_threads);

  // Called by every thread of the team with the same arguments but for team.i_thread; allocates
  // what the observations' memory takes, once. The first thread calls the observer and counts.
  void run(std::span<const ActionDenoising> robots, const PolicyTeam& team,
           const BranchObserver& observer, ControlCounts& counts);

  int32_t n_robots() const { return n_robots_; }
  int32_t n_threads() const { return static_cast<int32_t>(own_.size()); }

 private:
  // What every thread has for itself, so that only branches need the team.
  struct Own {
    Own(const PolicyTransformerModel& model, const BranchPlan& plan, int32_t n_robots);

    std::vector<float> x, y;                 // [rows][Da]
    std::vector<float> h;                    // [rows][d]
    std::vector<float> sums;                 // [plan.n_sums()][rows][d]
    std::vector<float> diffused;             // [Tp][Da]
    std::vector<NormalStream> frozen_noise;  // one a robot
    PolicyWorkspace workspace;               // of steps without a branch
  };
  struct Run {
    std::span<const ActionDenoising> robots;
    const PolicyTeam& team;
    const BranchObserver& observer;
    ControlCounts& counts;
    Own& own;
    int64_t n_rows;       // robots * Tp
    int64_t n_values;     // rows * d
    int32_t n_fresh = 0;  // outputs so far that are not kept
  };

  void freeze(Run& run, int32_t k);
  void predict_step(Run& run, int32_t k);
  void compute(Run& run, int32_t k, const BranchWork& work);
  // out += kept outputs [begin, end), or out = their sum.
  void add_kept(const Run& run, const BranchWork& work, float* out) const;
  void sum_kept(const Run& run, const BranchWork& work, float* out) const;
  void step_robots(Run& run, int32_t k);
  ControlCounts step_counts(int32_t k) const;

  const PolicyTransformerModel& model_;
  const ActionSampler& sampler_;
  const BranchPlan& plan_;
  int32_t n_robots_;
  PolicyMemory memory_;
  PolicyWorkspace workspace_;
  std::vector<float> fresh_;          // [2][rows][d]: outputs that are not kept, in turns
  std::vector<float> outputs_;        // [plan.n_outputs()][rows][d]
  std::vector<ControlCounts> steps_;  // of one robot
  std::vector<Own> own_;              // one a thread
};

}  // namespace reprise
