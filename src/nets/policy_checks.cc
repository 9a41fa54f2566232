#include "nets/policy_checks.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

#include "core/error.h"
#include "core/printable.h"

namespace reprise {
namespace {

constexpr const char* kTrainWhole =
    "it predicts the executed actions alone, without those of the observations before, which is "
    "not built in; train with pred_action_steps_only = false";

}  // namespace

void check_policy_form(const std::string& path, const std::string& form) {
  if (form != "transformer") {
    throw Error(fmt::format(
        "{}: dp.arch is '{}'; transformer policies are built in, convolutional ones are not", path,
        printable(form)));
  }
}

void check_policy_slice(const std::string& path, bool predicts_executed_only) {
  if (predicts_executed_only)
    throw Error(fmt::format("{}: was trained with pred_action_steps_only: {}", path, kTrainWhole));
}

void check_policy_sizes(const std::string& path, const PolicyHparams& hp) {
  struct Size {
    const char* name;
    int32_t value;
    int32_t most;
  };
  const Size sizes[] = {
      {"n_layer", hp.n_layer, 512},         {"n_head", hp.n_head, 256},
      {"n_emb", hp.n_embd, 8192},           {"horizon", hp.n_horizon, 1024},
      {"n_obs_steps", hp.n_obs_steps, 256}, {"n_action_steps", hp.n_action_steps, 1024},
      {"obs_dim", hp.n_obs, 65536},         {"action_dim", hp.n_action, 4096}};
  for (const Size& size : sizes) {
    if (size.value < 1 || size.value > size.most) {
      throw Error(fmt::format("{}: {} is {}, expected 1 to {}; convert the model again", path,
                              size.name, size.value, size.most));
    }
  }
  if (hp.n_embd % hp.n_head != 0) {
    throw Error(
        fmt::format("{}: n_emb {} cannot be shared out over n_head {}; convert the model "
                    "again",
                    path, hp.n_embd, hp.n_head));
  }
  // The time embedding has half of them for sines and divides by that half less one.
  if (hp.n_embd % 2 != 0 || hp.n_embd < 4) {
    throw Error(fmt::format("{}: n_emb is {}, expected an even number from 4", path, hp.n_embd));
  }
  if (hp.n_obs_steps > 1 && hp.n_action_steps == hp.n_horizon) {
    throw Error(
        fmt::format("{}: n_action_steps {} is the whole horizon, so that the policy was trained "
                    "with pred_action_steps_only: {}",
                    path, hp.n_action_steps, kTrainWhole));
  }
  if (hp.n_obs_steps - 1 + hp.n_action_steps > hp.n_horizon) {
    throw Error(fmt::format(
        "{}: n_obs_steps {} - 1 + n_action_steps {} is beyond the horizon of {} actions", path,
        hp.n_obs_steps, hp.n_action_steps, hp.n_horizon));
  }
}

void check_policy_noise(const std::string& path, const NoiseScheduleSpec& noise,
                        const std::string& variance_type) {
  constexpr int32_t kMostSteps = 10000;
  if (noise.n_train_steps < 1 || noise.n_train_steps > kMostSteps) {
    throw Error(fmt::format("{}: {} training timesteps, expected 1 to {}", path,
                            noise.n_train_steps, kMostSteps));
  }
  if (noise.beta_schedule != "squaredcos_cap_v2") {
    throw Error(fmt::format("{}: noise schedule '{}' is not built in; squaredcos_cap_v2 is", path,
                            printable(noise.beta_schedule)));
  }
  if (noise.prediction != "epsilon" && noise.prediction != "sample") {
    throw Error(fmt::format("{}: prediction type '{}' is not built in; epsilon and sample are",
                            path, printable(noise.prediction)));
  }
  if (variance_type != "fixed_small") {
    throw Error(fmt::format("{}: variance type '{}' is not built in; fixed_small is", path,
                            printable(variance_type)));
  }
}

void check_control_rate(const std::string& path, double control_hz) {
  if (!std::isfinite(control_hz) || control_hz <= 0) {
    throw Error(
        fmt::format("{}: a control rate of {} Hz, expected a number above 0", path, control_hz));
  }
}

}  // namespace reprise
