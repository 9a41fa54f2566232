#include "engines/control/control_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <utility>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/realtime_priority.h"
#include "engines/control/action_noise.h"

namespace reprise {
namespace {

constexpr std::array<std::string_view, 3> kModes = {"sync", "async", "async+inpaint"};
// Plans whose latency says what the next one may take (Real-Time Chunking takes 10).
constexpr size_t kRecentPlans = 10;

double seconds(ControlTime time) { return std::chrono::duration<double>(time).count(); }

void check_finite(std::span<const float> values, std::string_view what, int64_t slot) {
  const auto wrong = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
  if (wrong == values.end()) return;
  throw Error(
      fmt::format("control step {}: {} {} is {}; finite numbers are needed, so the robot is "
                  "stopped",
                  slot, what, wrong - values.begin(), *wrong));
}

PlanLatency simulated_latency(const ControlOptions& options) {
  if (options.plan_latency || options.mode == ControlMode::kSync || options.latency_steps == 0) {
    return options.plan_latency;
  }
  const ControlTime latency(std::llround((options.latency_steps - 0.5) * 1e9 / options.rate_hz));
  return [latency](int64_t /*i_plan*/) { return latency; };
}

ControlOptions checked(ControlOptions options, const PlannerShape& shape) {
  options.check(shape);
  return options;
}

}  // namespace

std::string_view to_string(ControlMode mode) { return kModes.at(static_cast<size_t>(mode)); }

ControlMode parse_control_mode(std::string_view text) {
  const auto* const found = std::ranges::find(kModes, text);
  if (found == kModes.end()) {
    throw Error(fmt::format("--mode {}: no such mode{} {} are", text, did_you_mean(text, kModes),
                            fmt::join(kModes, ", ")));
  }
  return static_cast<ControlMode>(found - kModes.begin());
}

void ControlOptions::check(const PlannerShape& shape) const {
  if (!(rate_hz >= 0.01 && rate_hz <= 10'000)) {
    throw Error(fmt::format("--rate {}: expected 0.01 to 10000 control steps a second", rate_hz));
  }
  const int32_t n_most = mode == ControlMode::kSync ? 0 : shape.n_action_steps - 1;
  if (latency_steps < 0 || latency_steps > n_most) {
    throw Error(
        mode == ControlMode::kSync
            ? fmt::format("--latency-steps {}: time stops while a plan is made in mode sync; "
                          "take --mode async",
                          latency_steps)
            : fmt::format(
                  "--latency-steps {}: of a chunk {} actions are executed, so 0 to {} steps "
                  "may pass before it is there",
                  latency_steps, shape.n_action_steps, n_most));
  }
  if (shape.n_obs_steps < 1 || shape.n_action_steps < 1 ||
      shape.n_action_steps > shape.n_usable()) {
    throw Error(
        fmt::format("a planner that sees {} observations and plans {} actions has {} from "
                    "now on; {} cannot be executed of them",
                    shape.n_obs_steps, shape.n_horizon, shape.n_usable(), shape.n_action_steps));
  }
}

ControlLoop::ControlLoop(ChunkPlanner& planner, ControlOptions options,
                         std::unique_ptr<ControlClock> clock)
    : shape_(planner.shape()),
      options_(checked(std::move(options), shape_)),
      clock_(std::move(clock)),
      // A chunk that is late as a whole stands one step further on.
      queue_(shape_.n_action, shape_.n_usable() + 1),
      schedule_(options_.rate_hz, ControlTime(0)),
      seen_(shape_.n_obs_steps, shape_.n_obs) {
  report_.is_simulated = !options_.is_realtime;
  if (options_.is_realtime) {
    if (!clock_) clock_ = std::make_unique<SteadyClock>();
    worker_ = std::make_unique<ThreadedPlanWorker>(planner, *clock_);
  } else {
    assert(!clock_);
    clock_ = std::make_unique<SimulatedClock>();
    worker_ = std::make_unique<SimulatedPlanWorker>(planner, *clock_, simulated_latency(options_));
  }
}

// Actions of a chunk that are kept. Executed are n_action_steps of them; in the asynchronous modes
// the others bridge the time until the next chunk is there.
int32_t ControlLoop::n_kept() const {
  return options_.mode == ControlMode::kSync ? shape_.n_action_steps : shape_.n_usable();
}

// Steps from an observation to the first one that its plan can reach: what was asked for, or what
// recent plans took.
int32_t ControlLoop::n_expected_steps() const {
  int32_t n = std::max(1, options_.latency_steps);
  for (const ControlTime latency : recent_latencies_) {
    const ControlTime from_start = schedule_.deadline(0) + latency + kExecLatency;
    n = std::max(n, static_cast<int32_t>(schedule_.first_after(from_start)));
  }
  return n;
}

// A plan is requested when no more actions are left than this: after n_action_steps of a chunk, or
// sooner where a plan takes longer than the rest of the chunk lasts.
int32_t ControlLoop::trigger() const {
  return std::max(shape_.n_usable() - shape_.n_action_steps - 1, n_expected_steps() - 1);
}

void ControlLoop::request(int64_t slot) {
  const std::span<const float> seen = seen_.values();
  PlanJob job{slot, {seen.begin(), seen.end()}, {}, seed_of(seed_, n_chunks_++)};
  if (options_.mode == ControlMode::kAsyncInpaint) {
    const int32_t n_bound = std::min(n_expected_steps(), shape_.n_usable() - 1);
    std::span<const float> last = held_;  // what a step without an action will hold
    for (int64_t s = slot; s < slot + n_bound; ++s) {
      const std::span<const float> queued = queue_.peek(s);
      if (!queued.empty()) last = queued;
      job.frozen.insert(job.frozen.end(), last.begin(), last.end());
    }
  }
  worker_->start(std::move(job));
}

void ControlLoop::receive(const FinishedPlan& plan, int64_t first_fresh) {
  if (plan.error) std::rethrow_exception(plan.error);
  report_.chunk_s.push_back(plan.compute_s);
  recent_latencies_.push_back(plan.finished - plan.started);
  if (recent_latencies_.size() > kRecentPlans) recent_latencies_.pop_front();
  const size_t n_wanted = static_cast<size_t>(shape_.n_horizon) * shape_.n_action;
  if (plan.chunk.size() != n_wanted) {
    throw Error(fmt::format("control step {}: the planner gave {} numbers, not {}", plan.slot,
                            plan.chunk.size(), n_wanted));
  }
  const std::span<const float> usable =
      std::span(plan.chunk)
          .subspan(static_cast<size_t>(shape_.n_obs_steps - 1) * shape_.n_action,
                   static_cast<size_t>(n_kept()) * shape_.n_action);
  check_finite(usable, "number of the planned actions,", plan.slot);
  const ActionQueue::Offer offer = queue_.put(plan.slot, usable, first_fresh);
  report_.n_stale += offer.n_stale;
  report_.n_over_budget += offer.is_over_budget ? 1 : 0;
}

bool ControlLoop::plan_and_wait(int64_t slot, const IsCancelled& is_cancelled) {
  request(slot);
  const std::optional<FinishedPlan> plan = worker_->wait(is_cancelled);
  if (!plan) return false;
  receive(*plan, slot);
  return true;
}

bool ControlLoop::drop_plan(const IsCancelled& is_cancelled) {
  if (!worker_->is_busy()) return true;
  const std::optional<FinishedPlan> plan = worker_->wait(is_cancelled);
  if (plan && plan->error) std::rethrow_exception(plan->error);
  return plan.has_value();
}

void ControlLoop::finish() {
  drop_plan([] { return false; });
}

std::span<const float> ControlLoop::planned(int64_t slot) {
  coming_.clear();
  for (int64_t s = slot + 1;; ++s) {
    const std::span<const float> action = queue_.peek(s);
    if (action.empty()) return coming_;
    coming_.insert(coming_.end(), action.begin(), action.end());
  }
}

bool ControlLoop::tick(Environment& environment, int64_t slot, const ControlEvents& events) {
  clock_->sleep_until(schedule_.deadline(slot), events.is_cancelled);
  if (events.is_cancelled()) return false;
  const bool is_sync = options_.mode == ControlMode::kSync;
  if (const std::optional<FinishedPlan> plan = worker_->take()) {
    receive(*plan, std::max(slot, schedule_.first_after(plan->finished + kExecLatency)));
  }
  if (slot > 0) seen_.observe(environment);
  check_finite(seen_.newest(), "number of the observation,", slot);
  const bool waits = is_sync && queue_.n_remaining() == 0;
  if (waits) {
    const ControlTime asked = clock_->now();
    if (!plan_and_wait(slot, events.is_cancelled)) return false;
    schedule_.delay(clock_->now() - asked);
  }

  const std::span<const float> action = queue_.take(slot);
  const bool is_fresh = !action.empty();
  if (is_fresh) held_.assign(action.begin(), action.end());
  const ControlTime late = clock_->now() - schedule_.deadline(slot);
  environment.apply(held_);

  report_.tick_s.push_back(seconds(late));
  report_.n_misses += seconds(late) > ControlReport::kMissS ? 1 : 0;
  report_.n_underruns += is_fresh ? 0 : 1;
  if (!is_sync && !worker_->is_busy() && queue_.n_remaining() <= trigger()) request(slot);
  events.on_tick({slot, held_, planned(slot), is_fresh, n_chunks_});
  return true;
}

EpisodeResult ControlLoop::run(Environment& environment, uint64_t seed, int64_t n_ticks_max,
                               const ControlEvents& events) {
  if (environment.n_obs() != shape_.n_obs || environment.n_action() != shape_.n_action) {
    throw Error(
        fmt::format("the environment has {} observations and {} actions, the policy {} and "
                    "{}; take the environment it was trained for",
                    environment.n_obs(), environment.n_action(), shape_.n_obs, shape_.n_action));
  }
  std::optional<RealtimePriority> priority;
  if (options_.is_realtime) priority.emplace();
  report_.has_realtime_priority = priority && priority->is_granted();
  if (!drop_plan(events.is_cancelled)) return {0, 0, false, true};
  queue_.clear();
  held_.clear();
  seed_ = seed;
  n_chunks_ = 0;
  seen_.begin(environment);
  check_finite(seen_.values(), "number of the observation,", 0);
  EpisodeResult result;
  result.was_cancelled = !plan_and_wait(0, events.is_cancelled);
  const ControlTime start = clock_->now();
  schedule_ = ControlSchedule(options_.rate_hz, start);
  while (!result.was_cancelled && !result.is_done && result.n_ticks < n_ticks_max) {
    if (!tick(environment, result.n_ticks, events)) {
      result.was_cancelled = true;
      break;
    }
    ++result.n_ticks;
    result.is_done = environment.is_done();
  }
  if (!result.was_cancelled) {  // the last action has its time, too
    clock_->sleep_until(schedule_.deadline(result.n_ticks), events.is_cancelled);
  }
  report_.elapsed_s += seconds(clock_->now() - start);
  result.score = environment.score();
  return result;
}

}  // namespace reprise
