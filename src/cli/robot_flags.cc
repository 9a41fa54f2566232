#include "cli/robot_flags.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "cli/compute_flags.h"
#include "cli/usage_error.h"
#include "core/error.h"
#include "engines/control/calibration_file.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr const char* kPusht = "pusht";

void check_environment(const RobotFlags& flags, const PolicyTransformerModel& model) {
  const std::string& env = flags.env.empty() ? model.env : flags.env;
  if (env == kPusht) return;
  throw Error(env.empty()
                  ? fmt::format("{}: does not say which environment it was trained in; name it: "
                                "--env {}",
                                model.path, kPusht)
                  : fmt::format("{}: was trained in the environment '{}', which is not here; {} is",
                                model.path, env, kPusht));
}

BranchSchedule schedule_of(const BranchPolicy& policy, const PolicyTransformerModel& model,
                           const SamplerSpec& sampler) {
  const ActionSampler steps(sampler, model.noise);
  const CalibrationSubject subject{model.name,
                                   model.hash,
                                   sampler.text(),
                                   {steps.timesteps().begin(), steps.timesteps().end()},
                                   model.hparams.n_layer};
  if (!policy.needs_calibration()) return policy.schedule(subject.shape(), nullptr);
  const CalibrationRecord record = load_calibration(policy.file(), model.path, subject);
  return policy.schedule(subject.shape(), &record.calibration);
}

}  // namespace

PolicyWeights RobotFlags::weight_type() const {
  if (weights == "f32") return PolicyWeights::kF32;
  if (weights == "f16") return PolicyWeights::kF16;
  return weights == "q8_0" ? PolicyWeights::kQ8_0 : PolicyWeights::kAsIs;
}

Backend RobotFlags::backend() const {
  ComputeFlags compute;
  compute.n_threads = n_threads;
  return compute.backend();
}

void add_robot_flags(CLI::App& verb, RobotFlags& flags) {
  verb.add_option("model", flags.model,
                  "a robot policy: path of a GGUF or safetensors file, or a name that 'reprise "
                  "list' shows")
      ->required();
  verb.add_option("--env", flags.env, "environment; default: the one the model was trained in")
      ->check(CLI::IsMember({kPusht}));
  verb.add_option("--branch", flags.branch,
                  "which residual branches are computed at which denoising step: a policy that "
                  "'reprise policies' lists, with its options: bac:updates=10,bubbling=5")
      ->capture_default_str();
  verb.add_option("--sampler", flags.sampler,
                  "denoising steps: ddpm takes all that the model was trained with, ddim:steps=N "
                  "and respaced:steps=N fewer")
      ->capture_default_str();
  verb.add_option("--weights", flags.weights,
                  "type in which the weights are held; arithmetic is F32 with all of them")
      ->check(CLI::IsMember({"as-is", "f32", "f16", "q8_0"}))
      ->capture_default_str();
  verb.add_flag("--exact", flags.is_exact, "turn every policy off");
  add_threads_flag(verb, flags.n_threads);
}

LoadedRobot::LoadedRobot(const RobotFlags& flags, const Backend& backend) {
  // Checked even where --exact overrules it.
  std::unique_ptr<BranchPolicy> branch =
      checked_flag([&] { return make_branch_policy(flags.branch); });
  if (flags.is_exact) branch = make_branch_policy(flags.policy_text());
  model = PolicyTransformerModel::load(flags.model, flags.weight_type());
  check_environment(flags, *model);
  const SamplerSpec spec =
      checked_flag([&] { return SamplerSpec::parse(flags.sampler, model->noise); });
  sampler = spec.text();
  if (!branch->warning().empty()) spdlog::warn("{}", branch->warning());
  policy =
      std::make_unique<DiffusionPolicy>(model, backend, spec, schedule_of(*branch, *model, spec));
}

}  // namespace reprise
