#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/thread_barrier.h"
#include "nets/policy_transformer_model.h"

namespace reprise {

// A policy's network as a kit of parts, on plain arrays: so small a network (16 rows of 128 values)
// would cost as much in graph nodes as in arithmetic. Row-major F32; a robot has n_horizon rows of
// n_channels values that are denoised and n_rows rows of n_embd values in the network, a batch one
// robot after the other. Robots share no number: no row's bits depend on how many robots
// there are, which of them a call takes, or on the team. A NaN comes out as NaN.
// Source: Diffusion Policy (arXiv 2303.04137), TransformerForDiffusion.

// What the observations of n robots give to cross attention, all layers, folded; empty in an
// encoder.
struct PolicyMemory {
  int64_t n_robots = 0;
  std::vector<float> folded;  // [n_layer][n_robots] of FoldedRows::size(hparams, n_obs_steps)
};

// The robots [first, first + n) of a memory.
struct RobotRange {
  int64_t first = 0;
  int64_t n = 0;
};

// Threads that compute one call together. All of them make it with the same arguments, but for
// i_thread, and with one workspace; what they write is there for all when it returns. h may be each
// thread's own copy.
struct PolicyTeam {
  int32_t i_thread = 0;
  int32_t n_threads = 1;
  ThreadBarrier* barrier = nullptr;  // of n_threads; null for one

  void wait() const {
    if (barrier != nullptr) barrier->wait(n_threads);
  }
};

// Scratch of branch() and reuse_step() for up to n_robots robots and n_threads threads of a team.
class PolicyWorkspace {
 public:
  PolicyWorkspace(const PolicyTransformerModel& model, int64_t n_robots, int32_t n_threads = 1);

  float* normed(int32_t i_thread) { return own(i_thread); }  // [rows][n_embd]
  float* scratch(int32_t i_thread) {
    return own(i_thread) + n_normed_;
  }                                                    // of the attention kernels
  float* wide() { return shared_.data(); }             // [rows][4 n_embd]
  float* mixed() { return shared_.data() + n_wide_; }  // [rows][n_embd]

 private:
  float* own(int32_t i_thread) { return own_.data() + i_thread * n_own_; }

  int64_t n_normed_;
  int64_t n_wide_;
  int64_t n_own_;
  std::vector<float> own_;
  std::vector<float> shared_;
};

// obs: [n][n_obs_steps][n_obs], normalised. Once per call of the policy. An encoder remembers none.
void remember_observations(const PolicyTransformerModel& model, std::span<const float> obs,
                           PolicyMemory& memory);

// x: [n_robots][n_horizon][n_channels] noisy actions, normalised, an encoder's followed by
// observations; h: [n_robots][n_rows][n_embd]. timestep: of an encoder's first row.
void embed_actions(const PolicyTransformerModel& model, const float* x, int64_t n_robots,
                   int32_t timestep, float* h);

// One residual branch, numbered layer by layer (self attention, cross attention in decoders,
// feed-forward), with its norm in front and without the addition behind. timestep: 0 ..
// n_train_steps - 1.
struct BranchCall {
  int32_t b = 0;
  int32_t timestep = 0;
  RobotRange robots;         // of the memory
  const float* h = nullptr;  // [robots.n * n_rows][n_embd]
  float* out = nullptr;      // the same shape
};
void branch(const PolicyTransformerModel& model, const BranchCall& call, const PolicyMemory& memory,
            PolicyWorkspace& workspace, const PolicyTeam& team = {});

// Last norm and head. y: [n_robots][n_horizon][n_channels].
void predict(const PolicyTransformerModel& model, const float* h, int64_t n_robots, float* y);

// embed_actions(), h += sum, predict(), in one pass over each row; the same bits. sum:
// [n_robots][n_rows][n_embd]. What a step costs whose branches are all reused.
// Source: Block-wise Adaptive Caching (arXiv 2506.13456), run time.
void reuse_step(const PolicyTransformerModel& model, const float* x, const float* sum,
                int64_t n_robots, float* y, PolicyWorkspace& workspace,
                const PolicyTeam& team = {});

// Multiply-adds times two that branch b of one robot makes.
double branch_flops(const PolicyTransformerModel& model, int32_t b);

}  // namespace reprise
