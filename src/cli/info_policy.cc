#include "cli/info_policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/model_folders.h"
#include "core/printable.h"
#include "core/quantities.h"
#include "core/shell_word.h"
#include "core/text_table.h"
#include "engines/control/pusht_environment.h"
#include "nets/policy_file.h"
#include "policies/registry.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

int64_t file_bytes(const PolicyFile& file) {
  std::error_code error;
  const uintmax_t n = std::filesystem::file_size(file.path, error);
  return error ? 0 : static_cast<int64_t>(n);
}

int64_t n_weights(const PolicyFile& file) {
  int64_t n = 0;
  for (const PolicyTensor& tensor : file.tensors) n += static_cast<int64_t>(tensor.values.size());
  return n;
}

// Tensors by weight type.
std::map<std::string, int64_t> weight_types(const PolicyFile& file) {
  std::map<std::string, int64_t> types;
  for (const PolicyTensor& tensor : file.tensors)
    ++types[ggml_type_name(static_cast<ggml_type>(tensor.file_type))];
  return types;
}

std::vector<std::string_view> branch_policies() {
  std::vector<std::string_view> names;
  for (const PolicyEntry* policy : all_policies())
    if (policy->kind() == "branch") names.push_back(policy->bare_name());
  return names;
}

void print_json(const PolicyFile& file) {
  const PolicyHparams& hp = file.hparams;
  ordered_json out = {{"name", file.name},
                      {"path", file.path},
                      {"bytes", file_bytes(file)},
                      {"architecture", "dp"},
                      {"kind", "policy"},
                      {"env", file.env},
                      {"control_hz", file.control_hz},
                      {"n_weights", n_weights(file)},
                      {"n_layer", hp.n_layer},
                      {"n_embd", hp.n_embd},
                      {"n_head", hp.n_head},
                      {"n_horizon", hp.n_horizon},
                      {"n_obs_steps", hp.n_obs_steps},
                      {"n_action_steps", hp.n_action_steps},
                      {"n_obs", hp.n_obs},
                      {"n_action", hp.n_action},
                      {"is_causal", hp.is_causal},
                      {"is_encoder_only", hp.is_encoder_only},
                      {"noise",
                       {{"n_train_steps", file.noise.n_train_steps},
                        {"beta_schedule", file.noise.beta_schedule},
                        {"prediction", file.noise.prediction},
                        {"clips_sample", file.noise.clips_sample}}},
                      {"action_min", file.action.min},
                      {"action_max", file.action.max},
                      {"hash", policy_hash(file)},
                      {"weights", weight_types(file)},
                      {"policies", {{"branch", branch_policies()}}}};
  fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

std::string ranges_text(const AffineChannels& channels) {
  constexpr size_t kMostShown = 8;
  std::vector<std::string> ranges;
  for (size_t i = 0; i < channels.min.size() && i < kMostShown; ++i)
    ranges.push_back(fmt::format("{:g} to {:g}", channels.min[i], channels.max[i]));
  return fmt::format("{}{}", fmt::join(ranges, ", "),
                     channels.min.size() > kMostShown ? ", ..." : "");
}

// What it is for, and the command that runs it where there is one.
std::string kind_text(const PolicyFile& file) {
  const std::string kind =
      fmt::format("robot policy for {} at {:g} Hz",
                  file.env.empty() ? "no known environment" : printable(file.env), file.control_hz);
  if (!file.env.empty() && file.env != kPushtName)
    return fmt::format("{}, an environment that is not here", kind);
  if (const std::string misfit = pusht_misfit(file.hparams); !misfit.empty())
    return fmt::format("{}; does not fit Push-T: {}", kind, misfit);
  return fmt::format("{}; run it: reprise control {}{}", kind,
                     shell_word(name_or_path(file.name, file.path)),
                     file.env.empty() ? fmt::format(" --env {}", kPushtName) : "");
}

void print_facts(const PolicyFile& file) {
  using enum TextTable::Align;
  const PolicyHparams& hp = file.hparams;
  const NoiseScheduleSpec& noise = file.noise;
  TextTable facts({{""}, {"", kLeft, 80}});
  facts.add({"model", file.name.empty() ? "without a name" : printable(file.name)});
  facts.add({"file", fmt::format("{} ({})", file.path, format_bytes(file_bytes(file)))});
  facts.add({"architecture",
             fmt::format("dp (diffusion policy), {} weights", format_count(n_weights(file)))});
  facts.add({"kind", kind_text(file)});
  facts.add({"layers",
             fmt::format("n_layer {}, n_embd {}, n_head {}, {}{}", hp.n_layer,
                         format_count(hp.n_embd), hp.n_head, hp.is_causal ? "causal" : "not causal",
                         hp.is_encoder_only ? ", without a decoder" : "")});
  facts.add({"sees", fmt::format("{} observations of {} values", hp.n_obs_steps, hp.n_obs)});
  facts.add({"predicts", fmt::format("{} actions of {} values, {} of them executed", hp.n_horizon,
                                     hp.n_action, hp.n_action_steps)});
  facts.add({"actions in training", ranges_text(file.action)});
  facts.add({"noise", fmt::format("{} timesteps, {}, predicts {}{}", noise.n_train_steps,
                                  noise.beta_schedule, noise.prediction,
                                  noise.clips_sample ? ", clipped to -1 .. 1" : "")});
  std::vector<std::string> types;
  for (const auto& [type, n] : weight_types(file))
    types.push_back(fmt::format("{} ({} tensors)", type, n));
  facts.add({"weight types", fmt::format("{}", fmt::join(types, ", "))});
  facts.add({"hash", policy_hash(file)});
  if (const std::vector<std::string_view> names = branch_policies(); !names.empty())
    facts.add({"policies", fmt::format("--branch {}", fmt::join(names, "|"))});
  fmt::print("{}", facts.text());
}

}  // namespace

bool is_robot_policy(const std::string& path) {
  if (path.ends_with(".safetensors")) return true;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return false;
  try {
    return GgufFile::open(path).string_or("general.architecture", "") == "dp";
  } catch (const Error&) {
    return false;
  }
}

void print_policy_info(const std::string& path, bool is_json) {
  const PolicyFile file = PolicyFile::read(path);
  is_json ? print_json(file) : print_facts(file);
}

}  // namespace reprise
