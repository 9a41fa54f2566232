#include "cli/robot_flags.h"

#include <spdlog/spdlog.h>

#include <memory>

#include "cli/usage_error.h"
#include "engines/control/chosen_branch.h"
#include "policies/registry.h"

namespace reprise {

void add_robot_flags(CLI::App& verb, RobotFlags& flags) {
  add_policy_flags(verb, flags.policy);
  verb.add_option("--branch", flags.branch,
                  "which residual branches are computed at which denoising step: a policy that "
                  "'reprise policies' lists, with its options: bac:updates=10,bubbling=5")
      ->capture_default_str();
  verb.add_option("--sampler", flags.sampler,
                  "denoising steps: ddpm takes all that the model was trained with, ddim:steps=N "
                  "and respaced:steps=N fewer")
      ->capture_default_str();
  verb.add_flag("--exact", flags.is_exact, "turn every policy off");
}

LoadedRobot::LoadedRobot(const RobotFlags& flags, const Backend& backend) {
  // Checked even where --exact overrules it.
  checked_flag([&] { return make_branch_policy(flags.branch); });
  model = flags.policy.load();
  const SamplerSpec spec =
      checked_flag([&] { return SamplerSpec::parse(flags.sampler, model->noise); });
  sampler = spec.text();
  const ChosenBranch branch = choose_branch(flags.branch_text(), *model, spec);
  if (!branch.policy->warning().empty()) spdlog::warn("{}", branch.policy->warning());
  policy = std::make_unique<DiffusionPolicy>(model, backend, spec, branch.schedule);
}

std::unique_ptr<DiffusionPolicy> LoadedRobot::exact_policy(const Backend& backend) const {
  return std::make_unique<DiffusionPolicy>(model, backend,
                                           SamplerSpec::parse(sampler, model->noise),
                                           full_schedule(model->hparams, policy->sampler()));
}

}  // namespace reprise
