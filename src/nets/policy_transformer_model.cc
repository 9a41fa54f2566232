#include "nets/policy_transformer_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "core/error.h"
#include "core/model_folders.h"
#include "nets/policy_memory.h"
#include "nets/policy_names.h"

namespace reprise {
namespace {

constexpr size_t kAlign = 64;

ggml_type packed_type(int32_t file_type, PolicyWeights weights) {
  switch (weights) {
    case PolicyWeights::kF32:
      return GGML_TYPE_F32;
    case PolicyWeights::kF16:
      return GGML_TYPE_F16;
    case PolicyWeights::kQ8_0:
      return GGML_TYPE_Q8_0;
    case PolicyWeights::kAsIs:
      break;
  }
  return file_type == GGML_TYPE_F16 || file_type == GGML_TYPE_Q8_0
             ? static_cast<ggml_type>(file_type)
             : GGML_TYPE_F32;
}

// A matrix of the layers in the type that it is held in, rows in ggml's layout.
std::vector<std::byte> rows_of(const PolicyFile& file, const PolicyTensor& tensor, ggml_type type) {
  const int64_t n_out = tensor.shape[0];
  const int64_t n_in = tensor.shape[1];
  if (n_in % ggml_blck_size(type) != 0) {
    throw Error(fmt::format(
        "{}: tensor '{}' has rows of {} values, which are no blocks of {} for {}; hold the weights "
        "in f16 or f32",
        file.path, tensor.name, n_in, ggml_blck_size(type), ggml_type_name(type)));
  }
  std::vector<std::byte> rows(ggml_row_size(type, n_in) * n_out);
  if (type == GGML_TYPE_F16) {
    constexpr float kMost = 65504.0F;
    for (const float value : tensor.values) {
      if (std::abs(value) > kMost) {
        throw Error(
            fmt::format("{}: tensor '{}' has the value {}, beyond F16; hold the weights in f32",
                        file.path, tensor.name, value));
      }
    }
  }
  ggml_quantize_chunk(type, tensor.values.data(), rows.data(), 0, n_out, n_in, nullptr);
  return rows;
}

// Puts matrices into the arena, in the order in which a pass reads them. The first run over the
// file only counts bytes.
class Packer {
 public:
  explicit Packer(std::byte* arena) : arena_(arena) {}

  PackedWeights pack(ggml_type type, int64_t n_in, int64_t n_out, const std::byte* rows) {
    std::byte* panels = arena_ == nullptr ? nullptr : arena_ + n_bytes_;
    n_bytes_ += (packed_bytes(type, n_in, n_out) + kAlign - 1) / kAlign * kAlign;
    if (panels != nullptr) pack_weights(type, n_in, n_out, rows, panels);
    return {type, n_in, n_out, panels};
  }
  PackedWeights pack_f32(int64_t n_in, int64_t n_out, const float* rows) {
    return pack(GGML_TYPE_F32, n_in, n_out, reinterpret_cast<const std::byte*>(rows));
  }
  size_t n_bytes() const { return n_bytes_; }

 private:
  std::byte* arena_;  // null: only count
  size_t n_bytes_ = 0;
};

class ModelBuilder {
 public:
  ModelBuilder(const PolicyFile& file, PolicyWeights weights, PolicyTransformerModel& model)
      : file_(file), weights_(weights), model_(model), d_(file.hparams.n_embd) {}

  void build() {
    Packer counting(nullptr);
    pack_all(counting);
    model_.packed = allocate_huge_pages(counting.n_bytes());
    if (model_.packed == nullptr) {
      throw Error(fmt::format("{}: {} bytes of memory for the weights are not free", file_.path,
                              counting.n_bytes()));
    }
    Packer packer(model_.packed.get());
    pack_all(packer);
    bind_vectors();
    if (file_.hparams.is_encoder_only) {
      compute_time_tokens();
    } else {
      compute_time_rows();
    }
  }

 private:
  const float* keep(std::vector<float> values) {
    return model_.vectors.emplace_back(std::move(values)).data();
  }
  const float* vector(const std::string& name) { return keep(file_.tensor(name).values); }
  std::string layer_name(int32_t il, const char* name) const {
    return layer_tensor(file_.hparams, il, name);
  }
  LayerNorm norm(const std::string& name) {
    return {vector(name + ".weight"), vector(name + ".bias"), d_};
  }

  PackedWeights matrix(Packer& packer, const std::string& name) {
    const PolicyTensor& tensor = file_.tensor(name);
    const ggml_type type = packed_type(tensor.file_type, weights_);
    const PackedWeights packed =
        packer.pack(type, tensor.shape[1], tensor.shape[0], rows_of(file_, tensor, type).data());
    return packed;
  }
  // The same values as that type holds, in F32.
  std::vector<float> rounded(const std::string& name) {
    const PolicyTensor& tensor = file_.tensor(name);
    const ggml_type type = packed_type(tensor.file_type, weights_);
    if (type == GGML_TYPE_F32) return tensor.values;
    const std::vector<std::byte> rows = rows_of(file_, tensor, type);
    std::vector<float> values(tensor.values.size());
    ggml_get_type_traits(type)->to_float(rows.data(), values.data(),
                                         static_cast<int64_t>(values.size()));
    return values;
  }

  void pack_layers(Packer& packer) {
    model_.layers.resize(file_.hparams.n_layer);
    for (int32_t il = 0; il < file_.hparams.n_layer; ++il) {
      PolicyLayer& layer = model_.layers[il];
      layer.qkv = matrix(packer, layer_name(il, "self_attn.in_proj_weight"));
      layer.self_out = matrix(packer, layer_name(il, "self_attn.out_proj.weight"));
      layer.linear1 = matrix(packer, layer_name(il, "linear1.weight"));
      layer.linear2 = matrix(packer, layer_name(il, "linear2.weight"));
    }
    model_.weight_bytes = static_cast<int64_t>(packer.n_bytes());
  }

  void pack_cross_attention(Packer& packer) {
    const int64_t n_embd_head = file_.hparams.n_embd_head();
    for (int32_t il = 0; il < file_.hparams.n_layer; ++il) {
      PolicyLayer& layer = model_.layers[il];
      const std::vector<float> in = rounded(layer_name(il, "multihead_attn.in_proj_weight"));
      const std::vector<float> out = rounded(layer_name(il, "multihead_attn.out_proj.weight"));
      layer.memory_kv = packer.pack_f32(d_, 2 * d_, in.data() + d_ * d_);
      layer.fold_key.clear();
      layer.fold_value.clear();
      std::vector<float> part(d_ * n_embd_head);  // [n_embd][n_embd_head]
      for (int32_t j = 0; j < file_.hparams.n_head; ++j) {
        for (int64_t i = 0; i < d_; ++i) {
          for (int64_t e = 0; e < n_embd_head; ++e)
            part[i * n_embd_head + e] = in[(j * n_embd_head + e) * d_ + i];
        }
        layer.fold_key.push_back(packer.pack_f32(n_embd_head, d_, part.data()));
        for (int64_t i = 0; i < d_; ++i) {
          for (int64_t e = 0; e < n_embd_head; ++e)
            part[i * n_embd_head + e] = out[i * d_ + j * n_embd_head + e];
        }
        layer.fold_value.push_back(packer.pack_f32(n_embd_head, d_, part.data()));
      }
    }
  }

  void pack_all(Packer& packer) {
    pack_layers(packer);
    if (file_.hparams.is_encoder_only) return;
    pack_cross_attention(packer);
    model_.obs_embed =
        packer.pack_f32(file_.hparams.n_obs, d_, file_.tensor("cond_obs_emb.weight").values.data());
    model_.encoder1 = packer.pack_f32(d_, 4 * d_, rounded("encoder.0.weight").data());
    model_.encoder2 = packer.pack_f32(4 * d_, d_, rounded("encoder.2.weight").data());
  }

  void bind_vectors() {
    for (int32_t il = 0; il < file_.hparams.n_layer; ++il) {
      PolicyLayer& layer = model_.layers[il];
      layer.norm_self = norm(layer_name(il, "norm1"));
      layer.qkv_bias = vector(layer_name(il, "self_attn.in_proj_bias"));
      layer.self_out_bias = vector(layer_name(il, "self_attn.out_proj.bias"));
      if (!file_.hparams.is_encoder_only) bind_cross_attention(layer, il);
      layer.norm_ff = norm(layer_name(il, file_.hparams.is_encoder_only ? "norm2" : "norm3"));
      layer.linear1_bias = vector(layer_name(il, "linear1.bias"));
      layer.linear2_bias = vector(layer_name(il, "linear2.bias"));
    }
    if (!file_.hparams.is_encoder_only) {
      model_.obs_bias = vector("cond_obs_emb.bias");
      model_.memory_positions = vector("cond_pos_emb");
      model_.encoder1_bias = vector("encoder.0.bias");
      model_.encoder2_bias = vector("encoder.2.bias");
    }
    bind_action_rows();
  }

  void bind_cross_attention(PolicyLayer& layer, int32_t il) {
    layer.norm_cross = norm(layer_name(il, "norm2"));
    layer.query_bias = vector(layer_name(il, "multihead_attn.in_proj_bias"));
    layer.memory_kv_bias = layer.query_bias + d_;
    layer.cross_out_bias = vector(layer_name(il, "multihead_attn.out_proj.bias"));
  }

  void bind_action_rows() {
    const PolicyHparams& hp = file_.hparams;
    const int64_t n = hp.n_channels();
    const std::vector<float>& input = file_.tensor("input_emb.weight").values;  // [d][n]
    const std::vector<float>& bias = file_.tensor("input_emb.bias").values;
    std::vector<float> transposed(input.size());
    for (int64_t i = 0; i < d_; ++i) {
      for (int64_t a = 0; a < n; ++a) transposed[a * d_ + i] = input[i * n + a];
    }
    const std::vector<float>& positions = file_.tensor("pos_emb").values;  // [n_rows][d]
    std::vector<float> start(positions.end() - hp.n_horizon * d_, positions.end());
    for (size_t i = 0; i < start.size(); ++i) start[i] += bias[i % d_];
    model_.action_rows = {.n_action = n,
                          .n_horizon = hp.n_horizon,
                          .input = keep(std::move(transposed)),
                          .start = keep(std::move(start)),
                          .norm = norm("ln_f"),
                          .head = vector("head.weight"),
                          .head_bias = vector("head.bias")};
  }

  // [n_train_steps][n_embd]: the embedding of each timestep at this position.
  std::vector<float> embedded_times(const float* position) const {
    const int64_t n_steps = file_.noise.n_train_steps;
    std::vector<float> rows(n_steps * d_);
    for (int32_t t = 0; t < n_steps; ++t) {
      time_embedding(t, std::span(rows).subspan(t * d_, d_));
      for (int64_t i = 0; i < d_; ++i) rows[t * d_ + i] += position[i];
    }
    return rows;
  }

  void compute_time_tokens() {
    model_.time_tokens = embedded_times(file_.tensor("pos_emb").values.data());
  }

  void compute_time_rows() {
    const PolicyHparams& hp = file_.hparams;
    const int64_t n_steps = file_.noise.n_train_steps;
    const int64_t n_row = FoldedRows::size(hp, 1);
    const std::vector<float> rows = embedded_times(model_.memory_positions);
    std::vector<float> encoded(rows.size());
    encode_conditions(model_, rows.data(), n_steps, encoded.data());
    model_.time_rows.resize(n_steps * hp.n_layer * n_row);
    for (int64_t t = 0; t < n_steps; ++t) {
      for (int32_t il = 0; il < hp.n_layer; ++il) {
        fold_memory(model_, il, encoded.data() + t * d_, 1,
                    model_.time_rows.data() + (t * hp.n_layer + il) * n_row);
      }
    }
  }

  const PolicyFile& file_;
  PolicyWeights weights_;
  PolicyTransformerModel& model_;
  int64_t d_;
};

}  // namespace

std::shared_ptr<const PolicyTransformerModel> PolicyTransformerModel::load(
    const std::string& path_or_name, PolicyWeights weights) {
  return from_file(PolicyFile::read(find_model(path_or_name)), weights);
}

std::shared_ptr<const PolicyTransformerModel> PolicyTransformerModel::from_file(
    const PolicyFile& file, PolicyWeights weights) {
  auto model = std::make_shared<PolicyTransformerModel>();
  model->path = file.path;
  model->name = file.name;
  model->env = file.env;
  model->control_hz = file.control_hz;
  model->hash = policy_hash(file);
  model->hparams = file.hparams;
  model->noise = file.noise;
  model->obs = file.obs;
  model->action = file.action;
  try {
    ModelBuilder(file, weights, *model).build();
  } catch (const std::bad_alloc&) {
    throw Error(fmt::format("{}: out of memory for the model's tables", file.path));
  }
  return model;
}

}  // namespace reprise
