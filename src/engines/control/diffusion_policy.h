#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/backend.h"
#include "engines/control/branch_plan.h"
#include "engines/control/branch_runner.h"
#include "engines/control/control_counts.h"
#include "engines/control/denoiser_sampler.h"
#include "nets/policy_transformer.h"
#include "policies/branch/branch_schedule.h"

namespace reprise {

// What one robot asks for.
struct ChunkRequest {
  std::span<const float> obs;  // [To][Do], in the robot's units, oldest first
  uint64_t seed = 0;           // of its noise: the same request gives the same chunk
  // [n_steps + 1][Tp][Da], unit normal: x at first, then the z of every step (the last one is not
  // read); of an encoder [..][Da + Do], for it denoises observations beside the actions. Empty:
  // drawn from the seed.
  std::span<const float> noise = {};
  // [n][Da], in the robot's units: actions from "now" on that are already bound to happen. The rest
  // of the chunk is brought into line with them by inpainting, and they come back as they are.
  std::span<const float> frozen = {};
};

// The actions that answer it.
struct ActionChunk {
  std::vector<float> actions;  // [Tp][Da], in the robot's units; row To - 1 is "now"
};

// A robot policy that denoises chunks of actions (Diffusion Policy, arXiv 2303.04137), with a
// schedule of which residual branches are computed. Robots of one call are shared out over the
// backend's threads, one robot is computed by one; what a robot gets depends neither on the others
// nor on the number of threads. Nothing is kept from call to call but counts. One thread at a time.
class DiffusionPolicy {
 public:
  // Throws Error when the schedule is of another number of layers, branches or steps, and when the
  // backend is no CPU.
  DiffusionPolicy(std::shared_ptr<const PolicyTransformerModel> model, const Backend& backend,
                  const SamplerSpec& sampler, const BranchSchedule& schedule,
                  ReuseOrder order = ReuseOrder::kRunSums);
  DiffusionPolicy(const DiffusionPolicy&) = delete;
  DiffusionPolicy& operator=(const DiffusionPolicy&) = delete;

  // One chunk a request, in their order. Throws Error on observations, noise and frozen actions of
  // a wrong size or with values that are not finite, and when actions come out that are not.
  std::vector<ActionChunk> act(std::span<const ChunkRequest> requests);
  ActionChunk act(const ChunkRequest& request) { return std::move(act(std::span(&request, 1))[0]); }
  // Rows To - 1 to To - 1 + Ta of a chunk: what is carried out before the next one.
  std::span<const float> executed(const ActionChunk& chunk) const;
  // Told every branch output that is computed, on the thread that computed it; empty: nobody.
  void set_observer(BranchObserver observer) { observer_ = std::move(observer); }

  const PolicyTransformerModel& model() const { return *model_; }
  const PolicyHparams& hparams() const { return model_->hparams; }
  const ActionSampler& sampler() const { return sampler_; }
  const BranchSchedule& schedule() const { return schedule_; }
  const ControlCounts& counts() const { return counts_; }
  void reset_counts() { counts_ = {}; }
  // Of outputs and sums that one robot keeps from step to step.
  int64_t cache_bytes() const;

 private:
  // Normalised numbers of one request.
  struct Job {
    std::vector<float> obs, noise, frozen, actions;
  };
  void check(const ChunkRequest& request, size_t i_request) const;
  void denoise(std::span<const ActionDenoising> robots);

  std::shared_ptr<const PolicyTransformerModel> model_;
  const Backend& backend_;
  ActionSampler sampler_;
  BranchSchedule schedule_;
  BranchPlan plan_;
  std::vector<BranchRunner> runners_;  // one a thread
  BranchObserver observer_;
  ControlCounts counts_;
};

// Of a model's calls with this sampler.
BranchShape branch_shape(const PolicyHparams& hparams, const ActionSampler& sampler);
// The schedule that computes everything.
BranchSchedule full_schedule(const PolicyHparams& hparams, const ActionSampler& sampler);

}  // namespace reprise
