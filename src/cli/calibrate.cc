#include "cli/calibrate.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "cli/interrupt.h"
#include "cli/observe_pusht.h"
#include "cli/outside_warning.h"
#include "cli/policy_flags.h"
#include "cli/progress.h"
#include "cli/usage_error.h"
#include "core/atomic_file.h"
#include "engines/control/calibrate.h"
#include "engines/control/pusht_episode.h"
#include "engines/control/recorded_observations.h"

namespace reprise {
namespace {

// Evaluations take the seeds from 100,000 on, comparisons of actions those from 200,000.
constexpr uint32_t kFirstSeed = 300000;
constexpr int32_t kMostCalls = 4096;

struct CalibrateFlags {
  PolicyFlags policy;
  std::string sampler = "ddpm";
  std::vector<std::string> metrics;
  int32_t n_calls = 16;
  uint32_t seed = kFirstSeed;
  std::string observations;  // recorded ones; empty: of Push-T
  std::string output;
};

std::vector<BranchMetric> chosen_metrics(const std::vector<std::string>& names) {
  if (names.empty()) return {BranchMetric::kCosine};
  std::vector<BranchMetric> metrics;
  for (const std::string& name : names) {
    const BranchMetric metric = checked_flag([&] { return parse_branch_metric(name); });
    if (std::ranges::find(metrics, metric) == metrics.end()) metrics.push_back(metric);
  }
  return metrics;
}

constexpr const char* kCalls = "--calls";

// One observation an episode of the uncached policy: the i-th at the beginning of its chunk i, from
// the first one again where an episode has no more. So 16 calls see the first 16 chunks alone.
std::vector<std::vector<float>> spread_observations(
    const std::shared_ptr<const PolicyTransformerModel>& model, const Backend& backend,
    const SamplerSpec& sampler, const CalibrateFlags& flags) {
  DiffusionPolicy policy(model, backend, sampler,
                         full_schedule(model->hparams, ActionSampler(sampler, model->noise)));
  const int32_t n_chunks = (kPushtMostSteps - 1) / policy.hparams().n_action_steps + 1;
  const int32_t n_spread = std::min(flags.n_calls, n_chunks);
  return observe_pusht(policy, flags.seed, flags.n_calls, n_spread);
}

void warn_of(const MeasuredCalibration& measured) {
  if (measured.n_zeroed > 0) {
    spdlog::warn("{} branch outputs were zero or no finite numbers and count as unlike all others",
                 measured.n_zeroed);
  }
  warn_of_outside(measured.n_obs_outside);
}

void calibrate(const CalibrateFlags& flags) {
  const std::vector<BranchMetric> metrics = chosen_metrics(flags.metrics);
  const bool is_recorded = !flags.observations.empty();
  const std::shared_ptr<const PolicyTransformerModel> model =
      is_recorded ? flags.policy.load_of_any_environment() : flags.policy.load();
  const SamplerSpec sampler =
      checked_flag([&] { return SamplerSpec::parse(flags.sampler, model->noise); });
  // Before the work, so that it is not done in vain.
  if (!flags.output.empty()) check_folder_of(flags.output);
  const std::string path =
      flags.output.empty() ? calibration_place(model->path, sampler.text()) : flags.output;
  const Backend backend = flags.policy.backend();
  const std::vector<std::vector<float>> observations =
      is_recorded ? read_observations(flags.observations, model->hparams, flags.n_calls, kCalls)
                  : spread_observations(model, backend, sampler, flags);
  std::vector<uint64_t> seeds(observations.size());
  std::iota(seeds.begin(), seeds.end(), uint64_t{flags.seed});
  Progress progress("calibrating", "calls", flags.n_calls);
  CalibrateEvents events;
  events.on_call = [&](int32_t n_done) {
    throw_if_interrupted();
    progress.update(n_done);
  };
  const MeasuredCalibration measured =
      calibrate_branches(model, backend, sampler, observations, seeds, metrics, events);
  progress.finish();
  warn_of(measured);
  write_calibration(path, measured.record);
  fmt::print("{}\n", path);
}

}  // namespace

void add_calibrate(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<CalibrateFlags>();
  CLI::App* verb = app.add_subcommand(
      "calibrate", "measure how alike a robot policy's steps are, for --branch bac and its like");
  add_policy_flags(*verb, flags->policy);
  verb->add_option("--sampler", flags->sampler,
                   "the sampler that it is for: ddpm, ddim:steps=N or respaced:steps=N")
      ->type_name("SAMPLER")
      ->capture_default_str();
  verb->add_option("--observations", flags->observations,
                   "recorded observations instead of Push-T's, for a policy of any environment: "
                   "safetensors with a tensor 'obs', F32 [n][n_obs_steps][n_obs], in the robot's "
                   "units; calls are spread over it")
      ->type_name("FILE")
      ->excludes(verb->get_option("--env"));
  verb->add_option(kCalls, flags->n_calls, "uncached calls to average over")
      ->check(CLI::Range(1, kMostCalls))
      ->capture_default_str();
  verb->add_option("--seed", flags->seed,
                   "of the first call's episode and noise; the next ones count up")
      ->capture_default_str();
  verb->add_option("--metric", flags->metrics,
                   "how outputs are compared: cosine (default), l1, mse or l2; repeatable")
      ->allow_extra_args(false)
      ->type_name("METRIC");
  verb->add_option("-o,--output", flags->output,
                   "the file to write; default: MODEL.branch.gguf, of another sampler than ddpm "
                   "MODEL.ddim-steps-20.branch.gguf and the like, beside the model, or in the data "
                   "folder where that cannot be written")
      ->type_name("FILE");
  verb->footer(
      "Each call's observations come out of an episode of Push-T of its own, the first from its\n"
      "beginning, the next ones a chunk of actions later each, or out of a recording. The file is\n"
      "bound to the model and the sampler.\n\n"
      "Examples:\n"
      "  reprise calibrate pusht-demo --sampler ddim:steps=20 --metric cosine --metric l1\n"
      "  reprise calibrate my_policy.gguf --observations recorded.safetensors");
  verb->callback([flags, &exit_code] {
    calibrate(*flags);
    exit_code = 0;
  });
}

}  // namespace reprise
