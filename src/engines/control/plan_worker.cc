#include "engines/control/plan_worker.h"

#include <cassert>
#include <utility>

namespace reprise {
namespace {

constexpr std::chrono::milliseconds kCancelPoll{50};

FinishedPlan carry_out(ChunkPlanner& planner, const PlanJob& job, const ControlClock& clock) {
  using Steady = std::chrono::steady_clock;
  FinishedPlan plan;
  plan.slot = job.slot;
  plan.started = clock.now();
  const auto start = Steady::now();
  try {
    plan.chunk = planner.plan({job.obs, job.frozen, job.seed});
  } catch (...) {
    plan.error = std::current_exception();
  }
  plan.compute_s = std::chrono::duration<double>(Steady::now() - start).count();
  plan.finished = clock.now();
  return plan;
}

}  // namespace

ThreadedPlanWorker::ThreadedPlanWorker(ChunkPlanner& planner, const ControlClock& clock)
    : planner_(planner), clock_(clock), thread_([this] { serve(); }) {}

ThreadedPlanWorker::~ThreadedPlanWorker() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  has_changed_.notify_all();
  thread_.join();
}

void ThreadedPlanWorker::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    has_changed_.wait(lock, [&] { return is_over_ || job_.has_value(); });
    if (is_over_) return;
    const PlanJob job = std::move(*job_);
    job_.reset();
    lock.unlock();
    FinishedPlan plan = carry_out(planner_, job, clock_);
    lock.lock();
    plan_ = std::move(plan);
    has_changed_.notify_all();
  }
}

void ThreadedPlanWorker::start(PlanJob job) {
  assert(!is_busy_);
  is_busy_ = true;
  {
    const std::lock_guard lock(mutex_);
    job_ = std::move(job);
  }
  has_changed_.notify_all();
}

std::optional<FinishedPlan> ThreadedPlanWorker::take() {
  const std::lock_guard lock(mutex_);
  std::optional<FinishedPlan> plan = std::exchange(plan_, std::nullopt);
  if (plan) is_busy_ = false;
  return plan;
}

std::optional<FinishedPlan> ThreadedPlanWorker::wait(const IsCancelled& is_cancelled) {
  std::unique_lock lock(mutex_);
  while (!plan_) {
    if (is_cancelled()) return std::nullopt;
    has_changed_.wait_for(lock, kCancelPoll, [&] { return plan_.has_value(); });
  }
  is_busy_ = false;
  return std::exchange(plan_, std::nullopt);
}

void SimulatedPlanWorker::start(PlanJob job) {
  assert(!is_busy());
  plan_ = carry_out(planner_, job, clock_);
  if (!latency_) return;
  const ControlTime latency = latency_(n_plans_++);
  plan_->finished = plan_->started + latency;
  plan_->compute_s = std::chrono::duration<double>(latency).count();
}

std::optional<FinishedPlan> SimulatedPlanWorker::take() {
  if (!plan_ || plan_->finished > clock_.now()) return std::nullopt;
  return std::exchange(plan_, std::nullopt);
}

std::optional<FinishedPlan> SimulatedPlanWorker::wait(const IsCancelled& is_cancelled) {
  if (is_cancelled()) return std::nullopt;
  return std::exchange(plan_, std::nullopt);
}

}  // namespace reprise
