#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engines/control/action_queue.h"
#include "engines/control/chunk_planner.h"
#include "engines/control/control_clock.h"
#include "engines/control/control_report.h"
#include "engines/control/environment.h"
#include "engines/control/observation_history.h"
#include "engines/control/plan_worker.h"

namespace reprise {

enum class ControlMode : uint8_t {
  kSync,          // the robot waits for each plan, as in the paper's simulation
  kAsync,         // the next chunk is planned while this one is executed
  kAsyncInpaint,  // and told the actions that will have happened when it is there
};
std::string_view to_string(ControlMode mode);           // "async+inpaint"
ControlMode parse_control_mode(std::string_view text);  // Throws Error.

struct ControlOptions {
  ControlMode mode = ControlMode::kSync;
  double rate_hz = 10;        // control steps a second
  int32_t latency_steps = 0;  // control steps that a plan is expected to take, at least
  bool is_realtime = false;   // by the machine's clock instead of simulated time
  // Of simulated time; empty: half a step less than latency_steps, so that the plan is there for
  // that step.
  PlanLatency plan_latency;

  // Refuses what cannot be with such a planner. Throws Error.
  void check(const PlannerShape& shape) const;
};

// One control step just done.
struct ControlTick {
  int64_t i_tick = 0;
  std::span<const float> action;   // [n_action], applied
  std::span<const float> planned;  // [n][n_action], of the steps that follow
  bool is_fresh = true;            // not a held action
  int64_t n_chunks = 0;            // of this episode so far
};

struct ControlEvents {
  IsCancelled is_cancelled = [] { return false; };
  std::function<void(const ControlTick&)> on_tick = [](const ControlTick&) {};
};

struct EpisodeResult {
  int64_t n_ticks = 0;
  double score = 0;
  bool is_done = false;
  bool was_cancelled = false;
};

// Drives environments with a planner at a fixed rate. Absolute deadlines; a plan starts when few
// enough actions are left and never holds up a tick (but in kSync); a plan's i-th action belongs to
// the i-th step from its newest observation, and is dropped when it comes less than kExecLatency
// before that step. A step without an action holds the last one.
// kSync stops time: simulated time stands still while the planner works; in real time the schedule
// shifts by what the plan took, so that this pause makes no tick late.
// In real time the thread that runs an episode has a real-time priority meanwhile, where the system
// grants it (core/realtime_priority.h): plans, and whatever else computes, do not hold up a tick.
// Source: Diffusion Policy, arXiv 2303.04137, and the real-robot loop of its reference code;
// freezing: Real-Time Chunking, arXiv 2506.07339.
class ControlLoop {
 public:
  static constexpr ControlTime kExecLatency = std::chrono::milliseconds(10);

  // `planner` is used by a thread of the loop's own in real time, from here to destruction: what it
  // counts may be read after finish() alone. `clock`: what real time is told by; none: the
  // system's.
  ControlLoop(ChunkPlanner& planner, ControlOptions options,
              std::unique_ptr<ControlClock> clock = nullptr);

  // One episode from the environment's present state: until it is done, n_ticks_max, or cancelled.
  // The robot rests until the first plan is there. The i-th plan's noise is that of seed_of(seed,
  // i), whatever the planner, so that runs of several can be paired. Throws Error for an
  // environment of other sizes, for observations and actions that are no finite numbers, and what
  // the planner throws or threw when the episode before had ended.
  EpisodeResult run(Environment& environment, uint64_t seed, int64_t n_ticks_max,
                    const ControlEvents& events);
  // Waits for the plan that was at work when the last episode ended, if any: the planner is idle
  // from here to the next run(). Throws what the planner threw.
  void finish();
  const ControlReport& report() const { return report_; }

 private:
  void request(int64_t slot);
  // False when cancelled first.
  bool plan_and_wait(int64_t slot, const IsCancelled& is_cancelled);
  // Of an episode that ended meanwhile: waits and forgets it. False when cancelled first.
  bool drop_plan(const IsCancelled& is_cancelled);
  void receive(const FinishedPlan& plan, int64_t first_fresh);
  bool tick(Environment& environment, int64_t slot, const ControlEvents& events);
  std::span<const float> planned(int64_t slot);
  int32_t n_expected_steps() const;
  int32_t n_kept() const;
  int32_t trigger() const;

  PlannerShape shape_;
  ControlOptions options_;
  std::unique_ptr<ControlClock> clock_;
  std::unique_ptr<PlanWorker> worker_;
  ControlReport report_;
  ActionQueue queue_;
  ControlSchedule schedule_;
  std::deque<ControlTime> recent_latencies_;
  ObservationHistory seen_;
  std::vector<float> held_;    // the last action, [n_action]; empty before the first
  std::vector<float> coming_;  // scratch of planned()
  uint64_t seed_ = 0;
  int64_t n_chunks_ = 0;  // of this episode
};

}  // namespace reprise
