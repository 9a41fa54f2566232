#include "cli/policy_flags.h"

#include <fmt/format.h>

#include "cli/compute_flags.h"
#include "core/error.h"
#include "core/printable.h"
#include "core/shell_word.h"
#include "engines/control/pusht_environment.h"

namespace reprise {
namespace {

PolicyWeights weight_type(const std::string& name) {
  if (name == "f32") return PolicyWeights::kF32;
  if (name == "f16") return PolicyWeights::kF16;
  return name == "q8_0" ? PolicyWeights::kQ8_0 : PolicyWeights::kAsIs;
}

void check_environment(const std::string& given, const PolicyTransformerModel& model) {
  const std::string elsewhere = fmt::format(
      "in C++ it drives its own environment (src/engines/control/environment.h), and 'reprise "
      "calibrate {} --observations FILE' takes it",
      shell_word(model.path));
  const std::string& env = given.empty() ? model.env : given;
  if (!env.empty() && env != kPushtName) {
    throw Error(fmt::format("{}: was trained in the environment '{}', which is not here; {} is; {}",
                            model.path, printable(env), kPushtName, elsewhere));
  }
  if (const std::string misfit = pusht_misfit(model.hparams); !misfit.empty())
    throw Error(fmt::format("{}: does not fit Push-T: {}; {}", model.path, misfit, elsewhere));
  if (env.empty()) {
    throw Error(
        fmt::format("{}: does not say which environment it was trained in; name it: --env {}",
                    model.path, kPushtName));
  }
}

}  // namespace

std::shared_ptr<const PolicyTransformerModel> PolicyFlags::load() const {
  std::shared_ptr<const PolicyTransformerModel> loaded = load_of_any_environment();
  check_environment(env, *loaded);
  return loaded;
}

std::shared_ptr<const PolicyTransformerModel> PolicyFlags::load_of_any_environment() const {
  return PolicyTransformerModel::load(model, weight_type(weights));
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
      ->check(CLI::IsMember({kPushtName}));
  verb.add_option("--weights", flags.weights,
                  "type in which the weights are held; arithmetic is F32 with all of them")
      ->check(CLI::IsMember({"as-is", "f32", "f16", "q8_0"}))
      ->capture_default_str();
  add_threads_flag(verb, flags.n_threads);
}

}  // namespace reprise
