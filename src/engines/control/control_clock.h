#pragma once

#include <chrono>
#include <functional>

namespace reprise {

// A point of a clock's time, from a beginning of its own.
using ControlTime = std::chrono::nanoseconds;
// True when the work is to end; asked often, and by one thread alone.
using IsCancelled = std::function<bool()>;

// The time by which a control loop runs.
class ControlClock {
 public:
  virtual ~ControlClock() = default;

  virtual ControlTime now() const = 0;  // any thread may ask
  // Returns at that time, at once when it has gone by, and early, within 50 ms, when cancelled.
  virtual void sleep_until(ControlTime time, const IsCancelled& is_cancelled) = 0;
};

// The system's monotonic clock.
class SteadyClock final : public ControlClock {
 public:
  ControlTime now() const override;
  void sleep_until(ControlTime time, const IsCancelled& is_cancelled) override;
};

// Time that passes only while the loop sleeps, so that a run is the same on every machine.
class SimulatedClock final : public ControlClock {
 public:
  ControlTime now() const override { return now_; }
  void sleep_until(ControlTime time, const IsCancelled& is_cancelled) override;

 private:
  ControlTime now_{0};
};

// The deadlines of the control steps: step i is due at start + i periods, so that no delay of one
// step adds to the next.
class ControlSchedule {
 public:
  ControlSchedule(double rate_hz, ControlTime start) : period_ns_(1e9 / rate_hz), start_(start) {}

  ControlTime deadline(int64_t slot) const;
  // The first slot whose deadline is later than `time`.
  int64_t first_after(ControlTime time) const;
  // All deadlines from now on come later by this.
  void delay(ControlTime by) { start_ += by; }

 private:
  double period_ns_;
  ControlTime start_;
};

}  // namespace reprise
