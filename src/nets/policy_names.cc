#include "nets/policy_names.h"

#include <fmt/format.h>

#include <utility>

namespace reprise {

std::string own_policy_name(std::string_view name) {
  constexpr std::string_view kModel = "model.";
  constexpr std::string_view kNormaliser = "normalizer.params_dict.";
  if (name.starts_with(kModel)) return std::string(name.substr(kModel.size()));
  if (!name.starts_with(kNormaliser)) return std::string(name);
  std::string own = fmt::format("norm.{}", name.substr(kNormaliser.size()));
  constexpr std::string_view kStatistics = ".input_stats.";
  const size_t at = own.find(kStatistics);
  if (at == std::string::npos) return own;
  return fmt::format("{}.{}", own.substr(0, at), own.substr(at + kStatistics.size()));
}

bool is_unread_policy_tensor(std::string_view own_name) {
  if (own_name == "mask" || own_name == "memory_mask") return true;
  if (own_name.ends_with("_dummy_variable")) return true;
  return own_name.starts_with("norm.") &&
         (own_name.ends_with(".mean") || own_name.ends_with(".std"));
}

std::string layer_tensor(const PolicyHparams& hp, int32_t il, std::string_view name) {
  return fmt::format("{}.layers.{}.{}", hp.is_encoder_only ? "encoder" : "decoder", il, name);
}

std::vector<NamedShape> policy_tensor_shapes(const PolicyHparams& hp) {
  const int64_t d = hp.n_embd;
  const int64_t n_ff = hp.n_ff();
  std::vector<NamedShape> shapes;
  if (!hp.is_encoder_only) {
    shapes = {{"cond_obs_emb.weight", {d, hp.n_obs}},
              {"cond_obs_emb.bias", {d}},
              {"cond_pos_emb", {1, 1 + hp.n_obs_steps, d}},
              {"encoder.0.weight", {n_ff, d}},
              {"encoder.0.bias", {n_ff}},
              {"encoder.2.weight", {d, n_ff}},
              {"encoder.2.bias", {d}}};
  }
  shapes.push_back({"input_emb.weight", {d, hp.n_channels()}});
  shapes.push_back({"input_emb.bias", {d}});
  shapes.push_back({"pos_emb", {1, hp.n_rows(), d}});
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    const auto add = [&](std::string_view name, std::vector<int64_t> shape) {
      shapes.push_back({layer_tensor(hp, il, name), std::move(shape)});
    };
    for (const char* attention : {"self_attn", "multihead_attn"}) {
      const std::string name = attention;
      const bool is_self = name == "self_attn";
      if (!is_self && hp.is_encoder_only) continue;
      add(is_self ? "norm1.weight" : "norm2.weight", {d});
      add(is_self ? "norm1.bias" : "norm2.bias", {d});
      add(name + ".in_proj_weight", {3 * d, d});
      add(name + ".in_proj_bias", {3 * d});
      add(name + ".out_proj.weight", {d, d});
      add(name + ".out_proj.bias", {d});
    }
    const std::string last_norm = fmt::format("norm{}", hp.n_of_a_layer());
    add(last_norm + ".weight", {d});
    add(last_norm + ".bias", {d});
    add("linear1.weight", {n_ff, d});
    add("linear1.bias", {n_ff});
    add("linear2.weight", {d, n_ff});
    add("linear2.bias", {d});
  }
  shapes.push_back({"ln_f.weight", {d}});
  shapes.push_back({"ln_f.bias", {d}});
  shapes.push_back({"head.weight", {hp.n_channels(), d}});
  shapes.push_back({"head.bias", {hp.n_channels()}});
  return shapes;
}

}  // namespace reprise
