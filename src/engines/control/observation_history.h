#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engines/control/environment.h"

namespace reprise {

// The last observations of an environment, as many as a policy plans from.
class ObservationHistory {
 public:
  ObservationHistory(int32_t n_obs_steps, int32_t n_obs)
      : n_obs_(n_obs), values_(static_cast<size_t>(n_obs_steps) * n_obs) {}

  // An episode begins: what there was before its first observation looked the same.
  void begin(const Environment& environment) {
    for (size_t i = 0; i < values_.size(); i += n_obs_) observe(environment);
  }
  void observe(const Environment& environment) {
    std::shift_left(values_.begin(), values_.end(), n_obs_);
    environment.observe(std::span(values_).last(n_obs_));
  }

  std::span<const float> values() const { return values_; }  // [n_obs_steps][n_obs], oldest first
  std::span<const float> newest() const { return values().last(n_obs_); }

 private:
  int32_t n_obs_;
  std::vector<float> values_;
};

}  // namespace reprise
