#include "cli/policy_flags.h"

#include <fmt/format.h>

#include "cli/compute_flags.h"
#include "core/error.h"

namespace reprise {
namespace {

constexpr const char* kPusht = "pusht";

PolicyWeights weight_type(const std::string& name) {
  if (name == "f32") return PolicyWeights::kF32;
  if (name == "f16") return PolicyWeights::kF16;
  return name == "q8_0" ? PolicyWeights::kQ8_0 : PolicyWeights::kAsIs;
}

void check_environment(const std::string& given, const PolicyTransformerModel& model) {
  const std::string& env = given.empty() ? model.env : given;
  if (env == kPusht) return;
  throw Error(env.empty()
                  ? fmt::format("{}: does not say which environment it was trained in; name it: "
                                "--env {}",
                                model.path, kPusht)
                  : fmt::format("{}: was trained in the environment '{}', which is not here; {} is",
                                model.path, env, kPusht));
}

}  // namespace

std::shared_ptr<const PolicyTransformerModel> PolicyFlags::load() const {
  std::shared_ptr<const PolicyTransformerModel> loaded =
      PolicyTransformerModel::load(model, weight_type(weights));
  check_environment(env, *loaded);
  return loaded;
}

Backend PolicyFlags::backend() const {
  ComputeFlags compute;
  compute.n_threads = n_threads;
  return compute.backend();
}

void add_policy_flags(CLI::App& verb, PolicyFlags& flags) {
  verb.add_option("model", flags.model,
                  "a robot policy: path of a GGUF or safetensors file, or a name that 'reprise "
                  "list' shows")
      ->required();
  verb.add_option("--env", flags.env, "environment; default: the one the model was trained in")
      ->check(CLI::IsMember({kPusht}));
  verb.add_option("--weights", flags.weights,
                  "type in which the weights are held; arithmetic is F32 with all of them")
      ->check(CLI::IsMember({"as-is", "f32", "f16", "q8_0"}))
      ->capture_default_str();
  add_threads_flag(verb, flags.n_threads);
}

}  // namespace reprise
