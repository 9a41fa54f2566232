#pragma once

#include <span>

namespace reprise {

// A mean of independent samples and its standard error (0 for fewer than two samples).
struct SampleMean {
  double mean = 0;
  double standard_error = 0;
};

// No samples: zeros.
SampleMean sample_mean(std::span<const double> samples);
// Of a[i] - b[i], where the i-th samples belong together. Throws Error unless both are equally
// many.
SampleMean paired_difference(std::span<const double> a, std::span<const double> b);

}  // namespace reprise
