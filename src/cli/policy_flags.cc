#include "cli/policy_flags.h"

#include <fmt/format.h>

#include <map>

#include "cli/compute_flags.h"
#include "core/error.h"

namespace reprise {
namespace {

const std::map<std::string, PolicyWeights> kWeights = {{"as-is", PolicyWeights::kAsIs},
                                                       {"f32", PolicyWeights::kF32},
                                                       {"f16", PolicyWeights::kF16},
                                                       {"q8_0", PolicyWeights::kQ8_0}};

}  // namespace

std::shared_ptr<const PolicyTransformerModel> PolicyFlags::load() const {
  return PolicyTransformerModel::load(model, kWeights.at(weights));
}

std::shared_ptr<const PolicyTransformerModel> PolicyFlags::load_pusht() const {
  std::shared_ptr<const PolicyTransformerModel> policy = load();
  if (policy->env != "pusht" && !policy->env.empty()) {
    throw Error(
        fmt::format("{}: the policy is for '{}', and this needs Push-T", model, policy->env));
  }
  return policy;
}

Backend PolicyFlags::backend() const { return Backend(n_threads); }

void add_policy_flags(CLI::App& verb, PolicyFlags& flags) {
  verb.add_option("model", flags.model, "name of a robot policy ('reprise list') or path")
      ->required();
  add_threads_flag(verb, flags.n_threads);
  verb.add_option("--weights", flags.weights,
                  "type of the layers' matrices: as-is, f32, f16 or q8_0; arithmetic is F32")
      ->check(CLI::IsMember({"as-is", "f32", "f16", "q8_0"}))
      ->capture_default_str();
}

}  // namespace reprise
