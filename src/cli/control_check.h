#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "cli/control_episodes.h"
#include "cli/robot_flags.h"
#include "core/backend.h"
#include "engines/control/recording_planner.h"

namespace reprise {

// The same episodes once more, with the same noise and everything computed, beside what was driven.
struct ControlCheck {
  std::vector<DrivenEpisode> exact;
  SampleMean score_difference;    // driven less exact, paired by episode
  SampleMean success_difference;  // likewise
  double chunk_s = 0;             // what a plan of the driven episodes took
  double exact_chunk_s = 0;
  int64_t n_chunks = 0;      // of the driven episodes
  double action_rmse = 0;    // px, of executed actions from the same observations and noise
  bool is_realtime = false;  // then plans took other times, too
};

// `plans`: all that the episodes' planner was asked and answered. Throws Error as
// ControlLoop::run() and Interrupted.
ControlCheck check_against_exact(const LoadedRobot& robot, const Backend& backend,
                                 const ControlOptions& options, const EpisodeRange& range,
                                 std::span<const DrivenEpisode> driven,
                                 std::span<const RecordedPlan> plans);
// One line on standard error, `ledger`'s estimate of what was saved beside it.
void print_check(const ControlCheck& check, const Ledger& ledger);
nlohmann::ordered_json check_json(const ControlCheck& check);

}  // namespace reprise
