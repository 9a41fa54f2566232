#include "engines/control/noise_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/printable.h"

namespace reprise {
namespace {

constexpr int32_t kMaxTimesteps = 10000;
constexpr double kMaxBeta = 0.999;

// Of the clean signal's power, what is left at u in 0..1.
double signal_share(double u) {
  const double cosine = std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2);
  return cosine * cosine;
}

}  // namespace

NoiseSchedule make_noise_schedule(const NoiseScheduleSpec& spec) {
  if (spec.beta_schedule != "squaredcos_cap_v2") {
    throw Error(
        fmt::format("noise schedule '{}' is unknown: only 'squaredcos_cap_v2' is there; train or "
                    "convert the model with it",
                    printable(spec.beta_schedule)));
  }
  const int32_t n = spec.n_train_steps;
  if (n < 1 || n > kMaxTimesteps) {
    throw Error(
        fmt::format("noise schedule: {} training steps, 1..{} are possible; convert the "
                    "model again",
                    n, kMaxTimesteps));
  }
  NoiseSchedule schedule;
  double product = 1;
  for (int32_t t = 0; t < n; ++t) {
    const double share =
        signal_share(static_cast<double>(t + 1) / n) / signal_share(static_cast<double>(t) / n);
    const float alpha = 1.0F - static_cast<float>(std::min(1 - share, kMaxBeta));
    product *= alpha;
    schedule.acp.push_back(static_cast<float>(product));
  }
  return schedule;
}

}  // namespace reprise
