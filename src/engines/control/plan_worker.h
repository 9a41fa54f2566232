#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engines/control/chunk_planner.h"
#include "engines/control/control_clock.h"

namespace reprise {

// What is to be planned: owns its numbers, for the loop goes on meanwhile.
struct PlanJob {
  int64_t slot = 0;  // of the newest observation
  std::vector<float> obs;
  std::vector<float> frozen;
  uint64_t seed = 0;
};

struct FinishedPlan {
  int64_t slot = 0;
  std::vector<float> chunk;
  ControlTime started{0};  // by the loop's clock
  ControlTime finished{0};
  double compute_s = 0;  // what the planner really took; simulated latencies where they are given
  std::exception_ptr error;
};

// How long the i-th plan takes in simulated time; empty: none.
using PlanLatency = std::function<ControlTime(int64_t i_plan)>;

// Plans beside a control loop, one job at a time.
class PlanWorker {
 public:
  virtual ~PlanWorker() = default;

  // May be called when there is no job that was not taken.
  virtual void start(PlanJob job) = 0;
  // A job was started and its plan not taken yet.
  virtual bool is_busy() const = 0;
  // The plan of the started job if it is finished.
  virtual std::optional<FinishedPlan> take() = 0;
  // Waits for it; empty when cancelled first.
  virtual std::optional<FinishedPlan> wait(const IsCancelled& is_cancelled) = 0;
};

// In a thread of its own. The planner is called without any lock. Destruction waits for a plan at
// work to end.
class ThreadedPlanWorker final : public PlanWorker {
 public:
  ThreadedPlanWorker(ChunkPlanner& planner, const ControlClock& clock);
  ~ThreadedPlanWorker() override;
  ThreadedPlanWorker(const ThreadedPlanWorker&) = delete;
  ThreadedPlanWorker& operator=(const ThreadedPlanWorker&) = delete;

  void start(PlanJob job) override;
  bool is_busy() const override { return is_busy_; }
  std::optional<FinishedPlan> take() override;
  std::optional<FinishedPlan> wait(const IsCancelled& is_cancelled) override;

 private:
  void serve();

  ChunkPlanner& planner_;
  const ControlClock& clock_;
  bool is_busy_ = false;  // of the loop's thread alone
  std::mutex mutex_;      // guards what follows
  std::condition_variable has_changed_;
  std::optional<PlanJob> job_;
  std::optional<FinishedPlan> plan_;
  bool is_over_ = false;
  std::thread thread_;  // last: it uses all of the above
};

// In the loop's own thread; the plan is held back until its simulated latency has passed.
class SimulatedPlanWorker final : public PlanWorker {
 public:
  SimulatedPlanWorker(ChunkPlanner& planner, const ControlClock& clock, PlanLatency latency)
      : planner_(planner), clock_(clock), latency_(std::move(latency)) {}

  void start(PlanJob job) override;
  bool is_busy() const override { return plan_.has_value(); }
  std::optional<FinishedPlan> take() override;
  // Does not wait: the latency of a plan that the loop waits for stops time.
  std::optional<FinishedPlan> wait(const IsCancelled& is_cancelled) override;

 private:
  ChunkPlanner& planner_;
  const ControlClock& clock_;
  PlanLatency latency_;
  int64_t n_plans_ = 0;
  std::optional<FinishedPlan> plan_;
};

}  // namespace reprise
