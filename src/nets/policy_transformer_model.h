#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/huge_pages.h"
#include "core/kernels/action_rows.h"
#include "core/kernels/layer_norm.h"
#include "core/kernels/packed_product.h"
#include "nets/policy_file.h"

namespace reprise {

// In which type the layers' matrices are held. Arithmetic is F32 with all of them.
enum class PolicyWeights : uint8_t {
  kAsIs,  // the file's own, BF16 as F32
  kF32,
  kF16,
  kQ8_0,
};

// Weights of one layer; those of cross attention in decoders alone. Bias pointers: [n_out].
struct PolicyLayer {
  LayerNorm norm_self;
  PackedWeights qkv;  // self attention's in_proj: n_embd to 3 n_embd, q, k, v
  const float* qkv_bias = nullptr;
  PackedWeights self_out;
  const float* self_out_bias = nullptr;
  LayerNorm norm_cross;
  // Cross attention's projections of memory rows, F32: n_embd to k, v; and per head what folds the
  // query and the output projection into them, n_embd_head to n_embd.
  PackedWeights memory_kv;
  const float* memory_kv_bias = nullptr;
  std::vector<PackedWeights> fold_key;    // [n_head]: Wq_j transposed
  std::vector<PackedWeights> fold_value;  // [n_head]: Wo_j
  const float* query_bias = nullptr;      // [n_embd]
  const float* cross_out_bias = nullptr;
  LayerNorm norm_ff;
  PackedWeights linear1;
  const float* linear1_bias = nullptr;
  PackedWeights linear2;
  const float* linear2_bias = nullptr;
};

// Keys and values of memory rows of one layer, with cross attention's query and output projection
// folded in, as kernels/chunk_attention.h describes them (FoldedMemory). Folding is exact algebra:
// a query's n_embd^2 products become n_head * rows * n_embd.
struct FoldedRows {
  static int64_t size(const PolicyHparams& hp, int64_t n_rows) {
    return n_rows * hp.n_head * (2 * static_cast<int64_t>(hp.n_embd) + 1);
  }
};

// A transformer diffusion policy, ready to compute; immutable, shared between robots and threads.
// Source: Diffusion Policy (arXiv 2303.04137), TransformerForDiffusion with n_cond_layers = 0 and
// time and observations as conditions, or as an encoder without any.
struct PolicyTransformerModel {
  // From a path or a name (find_model): a GGUF file of architecture dp, or a safetensors file with
  // the reference's names. Throws Error: everything that policy_file.h refuses, a matrix whose rows
  // are no blocks of Q8_0, values beyond F16, short memory.
  static std::shared_ptr<const PolicyTransformerModel> load(
      const std::string& path_or_name, PolicyWeights weights = PolicyWeights::kAsIs);
  static std::shared_ptr<const PolicyTransformerModel> from_file(const PolicyFile& file,
                                                                 PolicyWeights weights);

  std::string path;
  std::string name;
  std::string env;         // "pusht"; "" when the file does not say
  double control_hz = 10;  // actions a second
  std::string hash;        // policy_hash(): of the file's values, whatever `weights` makes of them
  PolicyHparams hparams;
  NoiseScheduleSpec noise;
  AffineChannels obs;
  AffineChannels action;

  std::vector<PolicyLayer> layers;
  ActionRows action_rows;
  // Condition encoder of a decoder, F32.
  PackedWeights obs_embed;  // n_obs to n_embd
  const float* obs_bias = nullptr;
  const float* memory_positions = nullptr;  // [1 + n_obs_steps][n_embd]
  PackedWeights encoder1;
  const float* encoder1_bias = nullptr;
  PackedWeights encoder2;
  const float* encoder2_bias = nullptr;

  // The memory row of timestep t for layer il, folded: FoldedRows::size(hparams, 1) values.
  const float* time_row(int32_t t, int32_t il) const {
    return time_rows.data() +
           (static_cast<int64_t>(t) * hparams.n_layer + il) * FoldedRows::size(hparams, 1);
  }
  std::vector<float> time_rows;  // [n_train_steps][n_layer]; empty in an encoder
  // An encoder's first row by timestep, with its position: [n_train_steps][n_embd].
  std::vector<float> time_tokens;

  int64_t weight_bytes = 0;                // of the layers' matrices, as a forward pass reads them
  HugePages packed;                        // what PackedWeights point into
  std::deque<std::vector<float>> vectors;  // what the other pointers point into
};

}  // namespace reprise
