#include "cli/control_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "core/quantities.h"
#include "engines/control/diffusion_planner.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

double chunk_s(const ControlCounts& counts) {
  return counts.n_chunks == 0 ? 0 : counts.total_s / static_cast<double>(counts.n_chunks);
}

size_t n_solved(std::span<const DrivenEpisode> episodes) {
  return std::ranges::count_if(episodes,
                               [](const DrivenEpisode& one) { return one.result.is_done; });
}

}  // namespace

ControlCheck check_against_exact(const LoadedRobot& robot, const Backend& backend,
                                 const ControlOptions& options, const EpisodeRange& range,
                                 std::span<const DrivenEpisode> driven,
                                 std::span<const RecordedPlan> plans) {
  const std::unique_ptr<DiffusionPolicy> policy = robot.exact_policy(backend);
  DiffusionPlanner planner(*policy);
  ControlCheck check;
  {
    ControlLoop loop(planner, options);
    drive_episodes(range, "driving with --exact", loop, {}, check.exact);
    loop.finish();
  }
  throw_if_interrupted();
  check.score_difference = paired_difference(scores(driven), scores(check.exact));
  check.success_difference = paired_difference(successes(driven), successes(check.exact));
  check.chunk_s = chunk_s(robot.policy->counts());
  check.exact_chunk_s = chunk_s(policy->counts());
  check.n_chunks = robot.policy->counts().n_chunks;
  check.is_realtime = options.is_realtime;
  Progress progress("planning the same with --exact", "chunks", std::ssize(plans));
  check.action_rmse = replay_rmse(plans, planner, [&](int64_t i_plan) {
    throw_if_interrupted();
    progress.update(i_plan);
  });
  progress.finish();
  return check;
}

void print_check(const ControlCheck& check, const Ledger& ledger) {
  const double saved_s =
      (check.exact_chunk_s - check.chunk_s) * static_cast<double>(check.n_chunks);
  const LedgerAmount& estimate = ledger.units.front().saved;
  const std::string estimated =
      estimate.unit == LedgerAmount::Unit::kSeconds
          ? fmt::format(" (estimated: {})", format_seconds(estimate.value))
          : "";
  const std::string error =
      check.exact.size() < 2 ? "" : fmt::format(" ± {:.3f}", check.score_difference.standard_error);
  fmt::print(stderr,
             "verify: --exact takes {} a chunk, not {}, so {} were {}{} · it scores {:.3f} and "
             "solves {} of {} with the same starts and noise, so {:+.3f}{} of score is {} "
             "· from the same observations executed actions differ by {:.1f} px\n",
             format_seconds(check.exact_chunk_s), format_seconds(check.chunk_s),
             format_seconds(std::abs(saved_s)), saved_s >= 0 ? "saved" : "lost", estimated,
             sample_mean(scores(check.exact)).mean, n_solved(check.exact), check.exact.size(),
             check.score_difference.mean, error,
             check.is_realtime ? "the policy's and the clock's" : "the policy's",
             check.action_rmse);
}

ordered_json check_json(const ControlCheck& check) {
  return {{"score", to_json(sample_mean(scores(check.exact)))},
          {"success", to_json(sample_mean(successes(check.exact)))},
          {"score_difference", to_json(check.score_difference)},
          {"success_difference", to_json(check.success_difference)},
          {"chunk_s", check.chunk_s},
          {"exact_chunk_s", check.exact_chunk_s},
          {"action_rmse_px", check.action_rmse},
          {"exact_episodes", episodes_json(check.exact)}};
}

}  // namespace reprise
