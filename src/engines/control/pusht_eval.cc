#include "engines/control/pusht_eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "engines/control/control_report.h"

namespace reprise {
namespace {

// Other noise than that of the observations' first runs, whose seeds count up.
constexpr uint64_t kOtherNoise = 1'000'000'007;

std::vector<double> scores(const PushtMethodResult& result) {
  std::vector<double> values;
  for (const PushtEpisode& episode : result.episodes) values.push_back(episode.score);
  return values;
}

std::vector<double> successes(const PushtMethodResult& result) {
  std::vector<double> values;
  for (const PushtEpisode& episode : result.episodes) values.push_back(episode.is_solved ? 1 : 0);
  return values;
}

// A method's policy and what single calls of it gave.
struct Contestant {
  Contestant(const std::shared_ptr<const PolicyTransformerModel>& model, const Backend& backend,
             const PushtMethod& method)
      : policy(std::make_unique<DiffusionPolicy>(model, backend, method.sampler, method.schedule)) {
  }

  std::unique_ptr<DiffusionPolicy> policy;
  std::vector<std::vector<float>> actions;
  std::vector<double> call_s;
};

bool is_cancelled(const PushtEvalEvents& events) {
  return events.episodes.is_cancelled && events.episodes.is_cancelled();
}

// Counts single calls.
class CallCount {
 public:
  CallCount(const PushtEvalEvents& events, size_t n_calls)
      : events_(events), n_calls_(static_cast<int64_t>(n_calls)) {}
  void add_one() {
    ++n_done_;
    if (events_.on_call) events_.on_call(n_done_, n_calls_);
  }

 private:
  const PushtEvalEvents& events_;
  int64_t n_calls_;
  int64_t n_done_ = 0;
};

// Methods take turns at every observation, so that a slow minute of the machine hits all. None when
// cancelled.
std::vector<Contestant> single_calls(const std::shared_ptr<const PolicyTransformerModel>& model,
                                     const Backend& backend, std::span<const PushtMethod> methods,
                                     const PushtEvalOptions& options, const PushtEvalEvents& events,
                                     CallCount& count) {
  std::vector<Contestant> contestants;
  for (const PushtMethod& method : methods) contestants.emplace_back(model, backend, method);
  for (size_t i = 0; i < options.observations.size(); ++i) {
    if (is_cancelled(events)) return {};
    for (Contestant& contestant : contestants) {
      const double before_s = contestant.policy->counts().total_s;
      auto one = executed_actions(*contestant.policy, std::span(options.observations).subspan(i, 1),
                                  options.first_noise_seed + i);
      contestant.call_s.push_back(contestant.policy->counts().total_s - before_s);
      contestant.actions.push_back(std::move(one[0]));
      count.add_one();
    }
  }
  return contestants;
}

// Between full's actions and those with other noise; empty when cancelled.
std::optional<double> noise_rmse(const Contestant& full, const PushtEvalOptions& options,
                                 const PushtEvalEvents& events, CallCount& count) {
  std::vector<std::vector<float>> others;
  for (size_t i = 0; i < options.observations.size(); ++i) {
    if (is_cancelled(events)) return std::nullopt;
    auto one = executed_actions(*full.policy, std::span(options.observations).subspan(i, 1),
                                options.first_noise_seed + kOtherNoise + i);
    others.push_back(std::move(one[0]));
    count.add_one();
  }
  return action_rmse(full.actions, others);
}

}  // namespace

std::vector<std::vector<float>> executed_actions(DiffusionPolicy& policy,
                                                 std::span<const std::vector<float>> observations,
                                                 uint64_t first_seed) {
  std::vector<std::vector<float>> actions;
  for (size_t i = 0; i < observations.size(); ++i) {
    const ActionChunk chunk = policy.act({.obs = observations[i], .seed = first_seed + i});
    const auto executed = policy.executed(chunk);
    actions.emplace_back(executed.begin(), executed.end());
  }
  return actions;
}

double action_rmse(std::span<const std::vector<float>> a, std::span<const std::vector<float>> b) {
  double squares = 0;
  size_t n = 0;
  const bool fits =
      std::ranges::equal(a, b, {}, &std::vector<float>::size, &std::vector<float>::size);
  if (!fits) {
    throw Error(
        fmt::format("actions of {} observations cannot be compared with those of {}, or "
                    "their lengths differ",
                    a.size(), b.size()));
  }
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[i].size(); ++j) {
      const double difference = static_cast<double>(a[i][j]) - b[i][j];
      squares += difference * difference;
      ++n;
    }
  }
  return n == 0 ? 0 : std::sqrt(squares / static_cast<double>(n));
}

PushtEvaluation evaluate_pusht(const std::shared_ptr<const PolicyTransformerModel>& model,
                               const Backend& backend, std::span<const PushtMethod> methods,
                               const PushtEvalOptions& options, const PushtEvalEvents& events) {
  if (methods.empty()) throw Error("an evaluation needs at least one method");
  CallCount count(events, (methods.size() + 1) * options.observations.size());
  std::vector<Contestant> contestants =
      single_calls(model, backend, methods, options, events, count);
  if (contestants.empty()) return {};
  const Contestant& full = contestants.front();
  const std::optional<double> between_noises = noise_rmse(full, options, events, count);
  if (!between_noises) return {};
  PushtEvaluation evaluation;
  evaluation.noise_rmse = *between_noises;
  if (events.on_noise_rmse) events.on_noise_rmse(evaluation.noise_rmse);
  for (size_t i = 0; i < methods.size(); ++i) {
    DiffusionPolicy& policy = *contestants[i].policy;
    PushtMethodResult result(methods[i]);
    const LatencySummary call = latency_summary(contestants[i].call_s);
    result.call_ms = 1e3 * call.p50_s;
    result.p95_call_ms = 1e3 * call.p95_s;
    result.action_rmse = action_rmse(contestants[i].actions, full.actions);
    policy.reset_counts();
    result.episodes = run_pusht(policy, options.run, events.episodes);
    if (is_cancelled(events)) break;
    const ControlCounts& counts = policy.counts();
    result.evals_per_chunk = counts.evaluations_per_chunk(methods[i].schedule.shape().n_branches());
    result.flops_per_chunk = counts.flops / static_cast<double>(counts.n_chunks);
    result.cache_bytes = policy.cache_bytes();
    result.n_obs_outside = counts.n_obs_outside;
    result.score = sample_mean(scores(result));
    result.success = sample_mean(successes(result));
    const PushtMethodResult& first = i == 0 ? result : evaluation.results[0];
    result.score_over_full = paired_difference(scores(result), scores(first));
    result.success_over_full = paired_difference(successes(result), successes(first));
    if (events.on_result) events.on_result(result);
    evaluation.results.push_back(std::move(result));
  }
  return evaluation;
}

}  // namespace reprise
