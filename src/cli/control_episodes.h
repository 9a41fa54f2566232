#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "cli/episode_pictures.h"
#include "cli/span_recorder.h"
#include "core/sample_mean.h"
#include "engines/control/control_loop.h"
#include "engines/pusht/pusht_world.h"

namespace reprise {

// Episodes of Push-T that are driven one after the other, one a seed.
struct EpisodeRange {
  uint32_t first_seed = 100000;  // of the published protocol
  int64_t n = 10;
  int64_t n_steps = kPushtMostSteps;  // control steps of one at most
};

struct DrivenEpisode {
  uint32_t seed = 0;
  EpisodeResult result;
};

// Where they are shown and kept, beside their results; each may be null.
struct EpisodeRecords {
  EpisodePictures* pictures = nullptr;
  SpanRecorder* spans = nullptr;
};

// Adds the episodes that are whole, also where a later one fails or the run is interrupted. `what`
// opens the progress line ("driving"); none when empty. Throws Error as ControlLoop::run().
void drive_episodes(const EpisodeRange& range, const std::string& what, ControlLoop& loop,
                    const EpisodeRecords& records, std::vector<DrivenEpisode>& episodes);

std::vector<double> scores(std::span<const DrivenEpisode> episodes);
// 1 for every one that was solved, 0 for the others.
std::vector<double> successes(std::span<const DrivenEpisode> episodes);

// On standard output; `episodes` may not be empty.
void print_episodes(std::span<const DrivenEpisode> episodes);
nlohmann::ordered_json to_json(const SampleMean& mean);
nlohmann::ordered_json episodes_json(std::span<const DrivenEpisode> episodes);

}  // namespace reprise
