#include "policies/branch/calibrated_branch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/error.h"
#include "policies/branch/branch_options.h"
#include "policies/branch/bubbling.h"

namespace reprise {
namespace {

constexpr std::string_view kUsualPlace = "auto";
constexpr std::string_view kAgain = "calibrate again: reprise calibrate MODEL";

// "24 branches x 100 steps"
std::string text(const BranchShape& shape) {
  return fmt::format("{} branches x {} steps", shape.n_branches(), shape.n_steps);
}

std::string held(const BranchCalibration& calibration) {
  std::string names;
  for (const auto& [metric, values] : calibration.similarity) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", to_string(metric));
  }
  return names.empty() ? "none" : names;
}

}  // namespace

std::string CalibratedBranch::warning() const {
  if (config_.n_bubbling != 1) return {};
  return fmt::format("{}: bubbling=1 does nothing, as in the authors' code; take 0 or at least 2",
                     name_);
}

StepSimilarity CalibratedBranch::similarity(const BranchShape& shape,
                                            const BranchCalibration* calibration) const {
  if (calibration == nullptr) {
    throw Error(
        fmt::format("{}: needs a calibration; make one with: reprise calibrate MODEL", name_));
  }
  if (calibration->shape != shape) {
    throw Error(fmt::format("{}: the calibration is of {}, this call has {}; {}", name_,
                            text(calibration->shape), text(shape), kAgain));
  }
  const auto found = calibration->similarity.find(config_.metric);
  if (found == calibration->similarity.end()) {
    throw Error(fmt::format("{}: metric={}, the calibration holds {}; take one of these or {}",
                            name_, to_string(config_.metric), held(*calibration), kAgain));
  }
  const StepSimilarity out{shape, found->second, is_distance(config_.metric)};
  const auto n_branches = static_cast<size_t>(shape.n_branches());
  const auto n_steps = static_cast<size_t>(shape.n_steps);
  if (out.values.size() != n_branches * n_steps * n_steps ||
      calibration->volatility.size() != n_branches) {
    throw Error(
        fmt::format("{}: the calibration of {} holds {} similarities and {} volatilities, "
                    "not {} and {}; {}",
                    name_, text(shape), out.values.size(), calibration->volatility.size(),
                    n_branches * n_steps * n_steps, n_branches, kAgain));
  }
  for (size_t i = 0; i < out.values.size(); ++i) {
    if (std::isfinite(out.values[i])) continue;
    throw Error(fmt::format("{}: the calibration's {} of steps {} and {} of {} is {}; {}", name_,
                            to_string(config_.metric), i / n_steps % n_steps, i % n_steps,
                            shape.name_of(static_cast<int32_t>(i / n_steps / n_steps)),
                            out.values[i], kAgain));
  }
  for (size_t b = 0; b < n_branches; ++b) {
    if (std::isfinite(calibration->volatility[b])) continue;
    throw Error(fmt::format("{}: the calibration's volatility of {} is {}; {}", name_,
                            shape.name_of(static_cast<int32_t>(b)), calibration->volatility[b],
                            kAgain));
  }
  return out;
}

BranchSchedule CalibratedBranch::schedule(const BranchShape& shape,
                                          const BranchCalibration* calibration) const {
  BranchSchedule schedule(shape, false);
  check_updates(name_, config_.n_updates, shape);
  if (config_.n_bubbling < 0 || config_.n_bubbling > shape.n_branches()) {
    throw Error(fmt::format("{}: bubbling={}, the model has {} branches; write bubbling=0..{}",
                            name_, config_.n_bubbling, shape.n_branches(), shape.n_branches()));
  }
  rule_(similarity(shape, calibration), config_.n_updates, schedule);
  bubble_up(calibration->volatility, config_.n_bubbling, schedule);
  if (config_.forces_last) schedule.compute_all_at(shape.n_steps - 1);
  return schedule;
}

std::vector<OptionSpec> calibrated_options(std::string_view force_last) {
  return {int_option("updates", 10, 1, kMaxUpdates,
                     "computed steps of a branch, S; at most the sampler's steps"),
          choice_option("metric", {"cosine", "l1", "mse", "l2"},
                        "how alike two outputs are: cosine, or a distance"),
          force_last_option(force_last),
          text_option("file", kUsualPlace,
                      "the calibration; auto: the one of the sampler, beside the model or in the "
                      "data folder: MODEL.branch.gguf, MODEL.ddim-steps-20.branch.gguf")};
}

CalibratedBranch::Config calibrated_config(const Options& options) {
  const std::string& file = options.text("file");
  return {.n_updates = options.i32("updates"),
          .metric = parse_branch_metric(options.choice("metric")),
          .forces_last = forces_last(options),
          .file = file == kUsualPlace ? std::string() : file};
}

}  // namespace reprise
