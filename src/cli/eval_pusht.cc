#include "cli/eval_pusht.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/eval_flags.h"
#include "cli/interrupt.h"
#include "cli/observe_pusht.h"
#include "cli/outside_warning.h"
#include "cli/policy_flags.h"
#include "cli/progress.h"
#include "cli/pusht_report.h"
#include "cli/usage_error.h"
#include "core/machine.h"
#include "engines/control/error_surge.h"
#include "engines/control/pusht_eval.h"
#include "engines/control/pusht_grid.h"
#include "policies/registry.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

constexpr int32_t kSurgeUpdates = 10;
constexpr int32_t kSurgeBubbling[] = {0, 3, 5};

struct PushtFlags {
  PolicyFlags policy;
  std::vector<std::string> branches;
  std::vector<std::string> samplers;
  std::string grid;
  bool is_surge = false;
  int32_t n_observations = 64;
  PushtRunOptions run{.n_seeds = 200};
  std::string json_path;
};

// What every JSON begins with.
ordered_json head(const PushtFlags& flags, const PolicyTransformerModel& model,
                  const Backend& backend, size_t n_observations) {
  const Machine machine = this_machine();
  return {{"eval", "pusht"},
          {"model", flags.policy.model},
          {"model_hash", model.hash},
          {"weights", flags.policy.weights},
          {"cpu", machine.cpu},
          {"n_threads", backend.n_threads()},
          {"commit", machine.commit},
          {"date", machine.date},
          {"n_observations", n_observations}};
}

// Bars for the methods' episodes, one after the other.
class EpisodeProgress {
 public:
  EpisodeProgress(const PushtFlags& flags, const PolicyHparams& hparams,
                  std::span<const PushtMethod> methods)
      : n_seeds_(flags.run.n_seeds),
        n_chunks_((flags.run.n_max_steps - 1) / hparams.n_action_steps + 1),
        methods_(methods) {}

  void on_chunk(const PushtEpisode& episode) {
    if (!bar_) {
      bar_.emplace(
          fmt::format("{} of {}, {}", i_method_ + 1, methods_.size(), methods_[i_method_].name()),
          "chunks", int64_t{n_seeds_} * n_chunks_);
    }
    // An episode that is solved needs no more of them.
    n_done_ += episode.is_solved ? 1 + n_chunks_ - episode.n_chunks : 1;
    bar_->update(n_done_);
  }
  void on_method() {
    if (bar_) bar_->finish();
    bar_.reset();
    n_done_ = 0;
    ++i_method_;
  }

 private:
  int32_t n_seeds_;
  int32_t n_chunks_;  // of an episode, at most
  std::span<const PushtMethod> methods_;
  std::optional<Progress> bar_;
  size_t i_method_ = 0;
  int64_t n_done_ = 0;
};

void evaluate(const PushtFlags& flags, const std::shared_ptr<const PolicyTransformerModel>& model,
              const Backend& backend, std::span<const PushtMethod> methods,
              std::vector<std::vector<float>> observations) {
  ordered_json json = head(flags, *model, backend, observations.size());
  json["first_seed"] = flags.run.first_seed;
  json["n_seeds"] = flags.run.n_seeds;
  json["n_max_steps"] = flags.run.n_max_steps;
  const auto write = [&] {
    if (!flags.json_path.empty()) write_eval_json(json, flags.json_path);
  };
  std::optional<Progress> calling;
  EpisodeProgress progress(flags, model->hparams, methods);
  std::vector<PushtMethodResult> finished;
  PushtEvalEvents events;
  events.episodes.is_cancelled = was_interrupted;
  events.episodes.on_chunk = [&](const PushtEpisode& episode, std::span<const float> /*obs*/) {
    progress.on_chunk(episode);
  };
  events.on_call = [&](int64_t n_done, int64_t n_calls) {
    if (!calling) calling.emplace("calling every method", "calls", n_calls);
    calling->update(n_done);
  };
  events.on_noise_rmse = [&](double noise_rmse) {
    if (calling) calling->finish();
    calling.reset();
    json["noise_rmse_px"] = noise_rmse;
    json["rows"] = ordered_json::array();
    write();
  };
  // A run that is stopped keeps the methods that were finished.
  events.on_result = [&](const PushtMethodResult& result) {
    progress.on_method();
    json["rows"].push_back(result_json(result));
    write();
  };
  const PushtEvaluation evaluation = evaluate_pusht(
      model, backend, methods,
      {.run = flags.run, .observations = std::move(observations), .first_noise_seed = kErrorSeed},
      events);
  int64_t n_outside = 0;
  for (const PushtMethodResult& result : evaluation.results) n_outside += result.n_obs_outside;
  warn_of_outside(n_outside);
  if (!evaluation.results.empty()) {
    print_results(evaluation.results);
    fmt::print("full with other noise: {:.1f} px\n", evaluation.noise_rmse);
  }
  throw_if_interrupted();
}

void show_surge(const PushtFlags& flags, const std::shared_ptr<const PolicyTransformerModel>& model,
                const Backend& backend, std::span<const std::vector<float>> observations) {
  const SamplerSpec sampler = SamplerSpec::parse("ddpm", model->noise);
  const std::vector<ErrorSurge> surges =
      measure_error_surge(model, backend, sampler, kSurgeUpdates, kSurgeBubbling, observations,
                          kErrorSeed, throw_if_interrupted);
  print_surges(surges);
  if (flags.json_path.empty()) return;
  ordered_json json = head(flags, *model, backend, observations.size());
  json["surge"] = ordered_json::array();
  for (const ErrorSurge& surge : surges) json["surge"].push_back(surge_json(surge, surges.front()));
  write_eval_json(json, flags.json_path);
}

void eval_pusht(const PushtFlags& flags) {
  check_json_path(flags.json_path);
  for (const std::string& branch : flags.branches) {
    const auto policy = checked_flag([&] { return make_branch_policy(branch); });
    if (!policy->warning().empty()) spdlog::warn("{}: {}", branch, policy->warning());
  }
  if (flags.run.first_seed + static_cast<uint64_t>(flags.run.n_seeds) > uint64_t{1} << 32) {
    throw UsageError(fmt::format("--first-seed {}: {} seeds from there on do not fit into 32 bits",
                                 flags.run.first_seed, flags.run.n_seeds));
  }
  const std::shared_ptr<const PolicyTransformerModel> model = flags.policy.load();
  for (const std::string& sampler : flags.samplers)
    checked_flag([&] { return SamplerSpec::parse(sampler, model->noise); });
  const Backend backend = flags.policy.backend();
  const auto or_default = [](const std::vector<std::string>& given,
                             const std::vector<std::string>& fallback) {
    return given.empty() ? fallback : given;
  };
  const bool is_default = flags.branches.empty() && flags.samplers.empty();
  std::vector<PushtMethod> methods =
      pusht_methods(*model, or_default(flags.samplers, {"ddpm"}),
                    or_default(flags.branches, is_default ? std::vector<std::string>{"full", "bac"}
                                                          : std::vector<std::string>{"full"}));
  DiffusionPolicy full(model, backend, methods[0].sampler, methods[0].schedule);
  std::vector<std::vector<float>> observations =
      observe_pusht(full, kErrorSeed, flags.n_observations, kErrorSpread);
  if (flags.is_surge) {
    warn_of_outside(full.counts().n_obs_outside);
    return show_surge(flags, model, backend, observations);
  }
  if (!flags.grid.empty())
    methods = pusht_table_methods(model, backend, observations.front(), throw_if_interrupted);
  evaluate(flags, model, backend, methods, std::move(observations));
}

}  // namespace

void add_eval_pusht(CLI::App& eval, int& exit_code) {
  auto flags = std::make_shared<PushtFlags>();
  CLI::App* verb = eval.add_subcommand(
      "pusht",
      "closed-loop score of a robot policy in Push-T, and its cost, by policy and sampler");
  add_policy_flags(*verb, flags->policy);
  CLI::Option* branch =
      verb->add_option("--branch", flags->branches,
                       "which residual branches are computed at which step; repeatable, as is the "
                       "next: all combinations are measured, and everything computed with ddpm "
                       "before; default: bac")
          ->allow_extra_args(false)
          ->type_name("POLICY");
  CLI::Option* sampler = verb->add_option("--sampler", flags->samplers,
                                          "ddpm (default), ddim:steps=N or respaced:steps=N")
                             ->allow_extra_args(false)
                             ->type_name("SAMPLER");
  CLI::Option* grid =
      verb->add_option("--grid", flags->grid,
                       "table: BAC beside every control, samplers of fewer steps at equal "
                       "evaluations and at equal time among them")
          ->check(CLI::IsMember({"table"}))
          ->excludes(branch)
          ->excludes(sampler);
  CLI::Option* seeds =
      verb->add_option("--seeds", flags->run.n_seeds, "episodes, the same for every method")
          ->check(CLI::Range(1, 1 << 20))
          ->capture_default_str();
  CLI::Option* first_seed =
      verb->add_option("--first-seed", flags->run.first_seed,
                       "seed of the first one; the published scores are of 100000 to 100049")
          ->capture_default_str();
  CLI::Option* steps =
      verb->add_option("--steps", flags->run.n_max_steps, "control steps of an episode at most")
          ->check(CLI::Range(1, kPushtMostSteps))
          ->capture_default_str();
  verb->add_flag("--surge", flags->is_surge,
                 "instead: how wrong each feed-forward's output is at the steps where BAC computes "
                 "it, with 0, 3 and 5 bubbling branches")
      ->excludes(branch)
      ->excludes(sampler)
      ->excludes(grid)
      ->excludes(seeds)
      ->excludes(first_seed)
      ->excludes(steps);
  verb->add_option("--observations", flags->n_observations,
                   "single calls that action errors and times are taken on")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  verb->add_option("--json", flags->json_path,
                   "also write all numbers to FILE, complete after every method")
      ->type_name("FILE");
  verb->footer(
      "Noise belongs to the episode and the chunk, whatever the method. evals: branches computed, "
      "in\nwhole forwards. ms, p95: median and 95th percentile of calls for one robot. cache: what "
      "one\nrobot keeps from step to step. error: executed actions against full's from the same\n"
      "observation and noise. - full: the score minus full's, paired by episode. docs/bac.md "
      "explains\nhow to read it.\n\n"
      "Examples:\n"
      "  reprise eval pusht pusht-demo --seeds 20\n"
      "  reprise eval pusht pusht-demo --branch bac:updates=10 --branch uniform:updates=20 "
      "--seeds 20");
  verb->callback([flags, &exit_code] {
    eval_pusht(*flags);
    exit_code = 0;
  });
}

}  // namespace reprise
