#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nets/policy_transformer_model.h"

namespace reprise {

// A policy's network as a kit of parts, on plain arrays: so small a network (16 rows of 128 values)
// would cost as much in graph nodes as in arithmetic. Row-major F32; a robot has n_horizon rows of
// n_channels values that are denoised and n_rows rows of n_embd values in the network, a batch one
// robot after the other. Robots share no number: no row's bits depend on how many robots
// there are or which of them a call takes. A NaN comes out as NaN.
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

// Scratch of branch() and reuse_step() for up to n_robots robots; one a thread.
struct PolicyWorkspace {
  PolicyWorkspace(const PolicyTransformerModel& model, int64_t n_robots);

  std::vector<float> normed;   // [rows][n_embd]
  std::vector<float> wide;     // [rows][4 n_embd]
  std::vector<float> mixed;    // [rows][n_embd]
  std::vector<float> kernels;  // of the attention kernels and of a row
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
            PolicyWorkspace& workspace);

// Last norm and head. y: [n_robots][n_horizon][n_channels].
void predict(const PolicyTransformerModel& model, const float* h, int64_t n_robots, float* y);

// embed_actions(), h += sum, predict(), in one pass over each row; the same bits. sum:
// [n_robots][n_rows][n_embd]. What a step costs whose branches are all reused.
// Source: Block-wise Adaptive Caching (arXiv 2506.13456), run time.
void reuse_step(const PolicyTransformerModel& model, const float* x, const float* sum,
                int64_t n_robots, float* y, PolicyWorkspace& workspace);

// Multiply-adds times two that branch b of one robot makes.
double branch_flops(const PolicyTransformerModel& model, int32_t b);

// The parts in order, everything computed, for the robots of a memory. x: [robots.n][n_horizon]
// [values of a row]; so is the result.
std::vector<float> predict_all(const PolicyTransformerModel& model, std::span<const float> x,
                               int32_t timestep, const PolicyMemory& memory, RobotRange robots,
                               PolicyWorkspace& workspace);

}  // namespace reprise
