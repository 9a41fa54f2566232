#include "engines/control/control_clock.h"

#include <algorithm>
#include <cmath>
#include <ctime>

namespace reprise {
namespace {

constexpr ControlTime kLongestSleep = std::chrono::milliseconds(50);

timespec to_timespec(ControlTime time) {
  const auto s = std::chrono::floor<std::chrono::seconds>(time);
  return {static_cast<time_t>(s.count()), static_cast<long>((time - s).count())};
}

}  // namespace

ControlTime SteadyClock::now() const {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

void SteadyClock::sleep_until(ControlTime time, const IsCancelled& is_cancelled) {
  for (ControlTime at = now(); at < time && !is_cancelled(); at = now()) {
    // Absolute, so that what passes between reading the clock and sleeping is no part of the sleep.
    const timespec until = to_timespec(std::min(time, at + kLongestSleep));
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);  // a signal ends it early
  }
}

void SimulatedClock::sleep_until(ControlTime time, const IsCancelled& is_cancelled) {
  if (!is_cancelled()) now_ = std::max(now_, time);
}

ControlTime ControlSchedule::deadline(int64_t slot) const {
  return start_ + ControlTime(std::llround(static_cast<double>(slot) * period_ns_));
}

int64_t ControlSchedule::first_after(ControlTime time) const {
  auto slot =
      static_cast<int64_t>(std::floor(static_cast<double>((time - start_).count()) / period_ns_));
  // The division rounds; deadlines decide.
  while (deadline(slot) > time) --slot;
  while (deadline(slot) <= time) ++slot;
  return slot;
}

}  // namespace reprise
