#include "nets/policy_transformer.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/kernels/chunk_attention.h"
#include "nets/policy_memory.h"

namespace reprise {
namespace {

enum class BranchKind : uint8_t { kSelfAttention, kCrossAttention, kFeedForward };

BranchKind branch_kind(const PolicyHparams& hp, int32_t b) {
  const int32_t i = b % hp.n_of_a_layer();
  if (i == 0) return BranchKind::kSelfAttention;
  return i == hp.n_of_a_layer() - 1 ? BranchKind::kFeedForward : BranchKind::kCrossAttention;
}

// Where the n_horizon rows of robot i begin: among those that are denoised, and in the network,
// where an encoder has a row before them.
template <class Float>
Float* denoised_rows(const PolicyHparams& hp, Float* x, int64_t i) {
  return x + i * hp.n_horizon * hp.n_channels();
}
template <class Float>
Float* network_rows(const PolicyHparams& hp, Float* h, int64_t i) {
  return h + ((i + 1) * hp.n_rows() - hp.n_horizon) * hp.n_embd;
}

// A branch with what it needs at hand.
struct Branch {
  const PolicyTransformerModel& model;
  const PolicyLayer& layer;
  const BranchCall& call;
  PolicyWorkspace& workspace;

  int64_t n_embd() const { return model.hparams.n_embd; }
  int64_t n_rows() const { return call.robots.n * model.hparams.n_rows(); }
};

void self_heads(const Branch& b) {
  const PolicyHparams& hp = b.model.hparams;
  const int64_t d = hp.n_embd;
  const int64_t n_embd_head = hp.n_embd_head();
  for (int64_t i = 0; i < b.call.robots.n * hp.n_head; ++i) {
    const int64_t row = i / hp.n_head * hp.n_rows();
    const int64_t column = i % hp.n_head * n_embd_head;
    const float* q = b.workspace.wide.data() + row * 3 * d + column;
    chunk_attention({.q = q,
                     .k = q + d,
                     .v = q + 2 * d,
                     .row = 3 * d,
                     .n_rows = hp.n_rows(),
                     .n_embd_head = n_embd_head,
                     .scale = 1.0F / std::sqrt(static_cast<float>(n_embd_head)),
                     .is_causal = hp.is_causal,
                     .out = b.workspace.mixed.data() + row * d + column,
                     .out_row = d},
                    b.workspace.kernels.data());
  }
}

void self_attention(const Branch& b) {
  const int64_t d = b.n_embd();
  layer_norm(b.layer.norm_self, b.call.h, b.n_rows(), b.workspace.normed.data());
  packed_product({.w = b.layer.qkv,
                  .bias = b.layer.qkv_bias,
                  .x = b.workspace.normed.data(),
                  .x_row = d,
                  .n_rows = b.n_rows(),
                  .y = b.workspace.wide.data(),
                  .y_row = 3 * d});
  self_heads(b);
  packed_product({.w = b.layer.self_out,
                  .bias = b.layer.self_out_bias,
                  .x = b.workspace.mixed.data(),
                  .x_row = d,
                  .n_rows = b.n_rows(),
                  .y = b.call.out,
                  .y_row = d});
}

void cross_attention(const Branch& b, const PolicyMemory& memory, int32_t il) {
  const PolicyHparams& hp = b.model.hparams;
  const int64_t d = hp.n_embd;
  const int64_t n_obs = hp.n_obs_steps;
  const int64_t n_values = hp.n_horizon * d;  // of a robot
  const FoldedMemory time = folded_memory(hp, b.model.time_row(b.call.timestep, il), 1);
  float* normed = b.workspace.normed.data();
  for (int64_t robot = 0; robot < b.call.robots.n; ++robot) {
    const int64_t at = il * memory.n_robots + b.call.robots.first + robot;
    layer_norm(b.layer.norm_cross, b.call.h + robot * n_values, hp.n_horizon, normed);
    folded_attention({.n_embd = d,
                      .n_head = hp.n_head,
                      .is_causal = hp.is_causal,
                      .time = time,
                      .observations = folded_memory(
                          hp, memory.folded.data() + at * FoldedRows::size(hp, n_obs), n_obs),
                      .bias = b.layer.cross_out_bias,
                      .x = normed,
                      .n_rows = hp.n_horizon,
                      .out = b.call.out + robot * n_values},
                     b.workspace.kernels.data());
  }
}

void feed_forward(const Branch& b) {
  const int64_t d = b.n_embd();
  layer_norm(b.layer.norm_ff, b.call.h, b.n_rows(), b.workspace.normed.data());
  packed_product({.w = b.layer.linear1,
                  .bias = b.layer.linear1_bias,
                  .x = b.workspace.normed.data(),
                  .x_row = d,
                  .n_rows = b.n_rows(),
                  .y = b.workspace.wide.data(),
                  .y_row = 4 * d,
                  .result = PackedResult::kGelu});
  packed_product({.w = b.layer.linear2,
                  .bias = b.layer.linear2_bias,
                  .x = b.workspace.wide.data(),
                  .x_row = 4 * d,
                  .n_rows = b.n_rows(),
                  .y = b.call.out,
                  .y_row = d});
}

}  // namespace

PolicyWorkspace::PolicyWorkspace(const PolicyTransformerModel& model, int64_t n_robots) {
  const PolicyHparams& hp = model.hparams;
  const int64_t n_values = n_robots * hp.n_rows() * hp.n_embd;
  normed.resize(n_values);
  wide.resize(4 * n_values);
  mixed.resize(n_values);
  kernels.resize(std::max<int64_t>(
      {hp.n_embd, chunk_attention_scratch(hp.n_rows(), hp.n_embd_head()),
       folded_attention_scratch(hp.n_embd, hp.n_head, 1 + hp.n_obs_steps, hp.n_horizon)}));
}

void remember_observations(const PolicyTransformerModel& model, std::span<const float> obs,
                           PolicyMemory& memory) {
  const PolicyHparams& hp = model.hparams;
  const int64_t d = hp.n_embd;
  const int64_t n_rows = static_cast<int64_t>(obs.size()) / hp.n_obs;
  assert(n_rows * hp.n_obs == static_cast<int64_t>(obs.size()) && n_rows % hp.n_obs_steps == 0);
  memory.n_robots = n_rows / hp.n_obs_steps;
  if (hp.is_encoder_only) return;
  std::vector<float> rows(n_rows * d);
  packed_product({.w = model.obs_embed,
                  .bias = model.obs_bias,
                  .x = obs.data(),
                  .x_row = hp.n_obs,
                  .n_rows = n_rows,
                  .y = rows.data(),
                  .y_row = d});
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* position = model.memory_positions + (1 + r % hp.n_obs_steps) * d;
    for (int64_t i = 0; i < d; ++i) rows[r * d + i] += position[i];
  }
  std::vector<float> encoded(rows.size());
  encode_conditions(model, rows.data(), n_rows, encoded.data());
  const int64_t n_folded = FoldedRows::size(hp, hp.n_obs_steps);
  memory.folded.resize(hp.n_layer * memory.n_robots * n_folded);
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    for (int64_t robot = 0; robot < memory.n_robots; ++robot) {
      fold_memory(model, il, encoded.data() + robot * hp.n_obs_steps * d, hp.n_obs_steps,
                  memory.folded.data() + (il * memory.n_robots + robot) * n_folded);
    }
  }
}

void embed_actions(const PolicyTransformerModel& model, const float* x, int64_t n_robots,
                   int32_t timestep, float* h) {
  const PolicyHparams& hp = model.hparams;
  for (int64_t i = 0; i < n_robots; ++i) {
    if (hp.is_encoder_only) {
      std::copy_n(model.time_tokens.data() + static_cast<int64_t>(timestep) * hp.n_embd, hp.n_embd,
                  h + i * hp.n_rows() * hp.n_embd);
    }
    embed_action_rows(model.action_rows, denoised_rows(hp, x, i), hp.n_horizon,
                      network_rows(hp, h, i));
  }
}

void branch(const PolicyTransformerModel& model, const BranchCall& call, const PolicyMemory& memory,
            PolicyWorkspace& workspace) {
  assert(call.b >= 0 && call.b < model.hparams.n_branches());
  assert(call.timestep >= 0 && call.timestep < model.noise.n_train_steps);
  assert(call.robots.first >= 0 && call.robots.first + call.robots.n <= memory.n_robots);
  const int32_t il = call.b / model.hparams.n_of_a_layer();
  const Branch b{model, model.layers[il], call, workspace};
  switch (branch_kind(model.hparams, call.b)) {
    case BranchKind::kSelfAttention:
      self_attention(b);
      break;
    case BranchKind::kCrossAttention:
      cross_attention(b, memory, il);
      break;
    case BranchKind::kFeedForward:
      feed_forward(b);
  }
}

void predict(const PolicyTransformerModel& model, const float* h, int64_t n_robots, float* y) {
  const PolicyHparams& hp = model.hparams;
  for (int64_t i = 0; i < n_robots; ++i) {
    predict_action_rows(model.action_rows, network_rows(hp, h, i), hp.n_horizon,
                        denoised_rows(hp, y, i));
  }
}

void reuse_step(const PolicyTransformerModel& model, const float* x, const float* sum,
                int64_t n_robots, float* y, PolicyWorkspace& workspace) {
  const PolicyHparams& hp = model.hparams;
  for (int64_t i = 0; i < n_robots; ++i) {
    reuse_action_rows(model.action_rows, denoised_rows(hp, x, i), network_rows(hp, sum, i),
                      hp.n_horizon, denoised_rows(hp, y, i), workspace.kernels.data());
  }
}

double branch_flops(const PolicyTransformerModel& model, int32_t b) {
  const PolicyHparams& hp = model.hparams;
  const double d = hp.n_embd;
  const double rows = hp.n_rows();
  switch (branch_kind(hp, b)) {
    case BranchKind::kSelfAttention:
      return 2 * rows * (4 * d * d + 2 * rows * d);
    case BranchKind::kCrossAttention:
      return 2 * rows * 2 * (1 + hp.n_obs_steps) * hp.n_head * d;
    case BranchKind::kFeedForward:
      break;
  }
  return 2 * rows * 8 * d * d;
}

std::vector<float> predict_all(const PolicyTransformerModel& model, std::span<const float> x,
                               int32_t timestep, const PolicyMemory& memory, RobotRange robots,
                               PolicyWorkspace& workspace) {
  const PolicyHparams& hp = model.hparams;
  std::vector<float> h(static_cast<size_t>(robots.n * hp.n_rows() * hp.n_embd));
  std::vector<float> out(h.size());
  embed_actions(model, x.data(), robots.n, timestep, h.data());
  for (int32_t b = 0; b < hp.n_branches(); ++b) {
    branch(model, {b, timestep, robots, h.data(), out.data()}, memory, workspace);
    for (size_t i = 0; i < h.size(); ++i) h[i] += out[i];
  }
  std::vector<float> y(x.size());
  predict(model, h.data(), robots.n, y.data());
  return y;
}

}  // namespace reprise
