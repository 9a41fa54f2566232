#include "cli/control_episodes.h"

#include <fmt/format.h>

#include <optional>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "core/text_table.h"
#include "engines/control/pusht_environment.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

std::string with_error(const SampleMean& mean, size_t n) {
  return n < 2 ? fmt::format("{:.3f}", mean.mean)
               : fmt::format("{:.3f} ± {:.3f}", mean.mean, mean.standard_error);
}

}  // namespace

void drive_episodes(const EpisodeRange& range, const std::string& what, ControlLoop& loop,
                    const EpisodeRecords& records, std::vector<DrivenEpisode>& episodes) {
  std::optional<Progress> progress;
  if (!what.empty()) progress.emplace(what, "episodes", range.n);
  for (int64_t i = 0; i < range.n && !was_interrupted(); ++i) {
    const auto seed = static_cast<uint32_t>(range.first_seed + i);
    PushtEnvironment environment(seed);
    ControlEvents events;
    events.is_cancelled = was_interrupted;
    if (records.pictures != nullptr) {
      events.on_tick = [&](const ControlTick& tick) {
        records.pictures->add(seed, environment, tick);
      };
    }
    const auto record = [&](const std::string& category) {
      if (records.spans != nullptr) records.spans->add(category, fmt::format("seed {}", seed));
    };
    const EpisodeResult result = loop.run(environment, seed, range.n_steps, events);
    record("drive");
    if (records.pictures != nullptr) {
      records.pictures->end_episode(result);
      record("draw");
    }
    if (!result.was_cancelled) episodes.push_back({seed, result});
    if (progress) progress->update(i + 1);
  }
  if (progress && !was_interrupted()) progress->finish();
}

std::vector<double> scores(std::span<const DrivenEpisode> episodes) {
  std::vector<double> values;
  for (const DrivenEpisode& episode : episodes) values.push_back(episode.result.score);
  return values;
}

std::vector<double> successes(std::span<const DrivenEpisode> episodes) {
  std::vector<double> values;
  for (const DrivenEpisode& episode : episodes) values.push_back(episode.result.is_done ? 1 : 0);
  return values;
}

void print_episodes(std::span<const DrivenEpisode> episodes) {
  using Align = TextTable::Align;
  TextTable table({{"seed", Align::kLeft},
                   {"score", Align::kRight},
                   {"success", Align::kRight},
                   {"steps", Align::kRight}});
  int64_t n_steps = 0;
  for (const DrivenEpisode& episode : episodes) {
    const EpisodeResult& result = episode.result;
    n_steps += result.n_ticks;
    table.add({fmt::format("{}", episode.seed), fmt::format("{:.3f}", result.score),
               result.is_done ? "yes" : "no", fmt::format("{}", result.n_ticks)});
  }
  const size_t n = episodes.size();
  table.add({"mean", with_error(sample_mean(scores(episodes)), n),
             with_error(sample_mean(successes(episodes)), n),
             fmt::format("{:.1f}", static_cast<double>(n_steps) / static_cast<double>(n))});
  fmt::print("{}", table.text());
}

ordered_json to_json(const SampleMean& mean) {
  return {{"mean", mean.mean}, {"standard_error", mean.standard_error}};
}

ordered_json episodes_json(std::span<const DrivenEpisode> episodes) {
  ordered_json out = ordered_json::array();
  for (const DrivenEpisode& episode : episodes) {
    out.push_back({{"seed", episode.seed},
                   {"score", episode.result.score},
                   {"is_solved", episode.result.is_done},
                   {"n_steps", episode.result.n_ticks}});
  }
  return out;
}

}  // namespace reprise
