#include "cli/pusht_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/binomial.h"
#include "core/quantities.h"
#include "core/text_table.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;
using Align = TextTable::Align;

int64_t n_solved(const PushtMethodResult& result) {
  return std::ranges::count_if(result.episodes, &PushtEpisode::is_solved);
}

ordered_json to_json(const SampleMean& mean) {
  return {{"mean", mean.mean}, {"standard_error", mean.standard_error}};
}

}  // namespace

nlohmann::ordered_json result_json(const PushtMethodResult& result) {
  const auto n = static_cast<int64_t>(result.episodes.size());
  const Interval success = wilson_interval(n_solved(result), n);
  ordered_json row = {{"method", result.method.name()},
                      {"sampler", result.method.sampler.text()},
                      {"branch", result.method.branch},
                      {"evaluations", result.evals_per_chunk},
                      {"gflop_a_chunk", 1e-9 * result.flops_per_chunk},
                      {"chunk_ms", result.call_ms},
                      {"chunk_p95_ms", result.p95_call_ms},
                      {"action_rmse_px", result.action_rmse},
                      {"cache_bytes", result.cache_bytes},
                      {"n_observations_outside", result.n_obs_outside},
                      {"n", n},
                      {"score", to_json(result.score)},
                      {"n_solved", n_solved(result)},
                      {"success", to_json(result.success)},
                      {"success_interval", {success.low, success.high}},
                      {"score_over_full", to_json(result.score_over_full)},
                      {"success_over_full", to_json(result.success_over_full)},
                      {"scores", ordered_json::array()}};
  std::string solved;
  for (const PushtEpisode& episode : result.episodes) {
    row["scores"].push_back(episode.score);
    solved += episode.is_solved ? '1' : '0';
  }
  row["solved"] = solved;
  return row;
}

nlohmann::ordered_json surge_json(const ErrorSurge& surge, const ErrorSurge& first) {
  ordered_json row = {{"branch", surge.branch},
                      {"bubbling", surge.n_bubbling},
                      {"evaluations", surge.evaluations},
                      {"rms_at_first_updates", surge.rms_where(first)},
                      {"feed_forward", surge.feed_forward},
                      {"updates", ordered_json::array()}};
  for (const auto& of_layer : surge.updates) {
    ordered_json& layer = row["updates"].emplace_back(ordered_json::array());
    for (const ErrorSurge::Update& update : of_layer) layer.push_back({update.k, update.error});
  }
  return row;
}

void print_results(std::span<const PushtMethodResult> results) {
  TextTable table({{"sampler"},
                   {"branch"},
                   {"evals", Align::kRight},
                   {"GFLOP", Align::kRight},
                   {"ms", Align::kRight},
                   {"p95", Align::kRight},
                   {"cache", Align::kRight},
                   {"error px", Align::kRight},
                   {"score", Align::kRight},
                   {"- full", Align::kRight},
                   {"success", Align::kRight},
                   {"95 % interval", Align::kRight}});
  for (const PushtMethodResult& result : results) {
    const auto n = static_cast<int64_t>(result.episodes.size());
    const Interval success = wilson_interval(n_solved(result), n);
    const auto& [difference, error] = result.score_over_full;
    table.add({result.method.sampler.text(), result.method.branch,
               fmt::format("{:.1f}", result.evals_per_chunk),
               fmt::format("{:.2f}", 1e-9 * result.flops_per_chunk),
               fmt::format("{:.1f}", result.call_ms), fmt::format("{:.1f}", result.p95_call_ms),
               result.cache_bytes == 0 ? "-" : format_bytes(result.cache_bytes),
               fmt::format("{:.1f}", result.action_rmse),
               fmt::format("{:.3f} ±{:.3f}", result.score.mean, result.score.standard_error),
               &result == results.data() ? "-" : fmt::format("{:+.3f} ±{:.3f}", difference, error),
               fmt::format("{}/{}", n_solved(result), n),
               fmt::format("{:.1f}..{:.1f}", 100 * success.low, 100 * success.high)});
  }
  fmt::print("{}", table.text());
}

void print_surges(std::span<const ErrorSurge> surges) {
  std::vector<TextTable::Column> columns = {{"branch"}, {"evals", Align::kRight}};
  for (size_t il = 0; il < surges.front().feed_forward.size(); ++il)
    columns.push_back({fmt::format("FF {}", il), Align::kRight});
  columns.push_back({"all, same steps", Align::kRight});
  TextTable table(columns);
  for (const ErrorSurge& surge : surges) {
    std::vector<std::string> cells = {surge.branch, fmt::format("{:.1f}", surge.evaluations)};
    for (const double error : surge.feed_forward) cells.push_back(fmt::format("{:.3f}", error));
    cells.push_back(fmt::format("{:.3f}", surge.rms_where(surges.front())));
    table.add(cells);
  }
  fmt::print("{}", table.text());
}

}  // namespace reprise
