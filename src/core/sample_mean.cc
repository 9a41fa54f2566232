#include "core/sample_mean.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "core/error.h"

namespace reprise {

SampleMean sample_mean(std::span<const double> samples) {
  const auto n = static_cast<double>(samples.size());
  if (samples.empty()) return {};
  double sum = 0;
  for (const double sample : samples) sum += sample;
  SampleMean result{.mean = sum / n};
  if (samples.size() < 2) return result;
  double squares = 0;
  for (const double sample : samples) squares += (sample - result.mean) * (sample - result.mean);
  result.standard_error = std::sqrt(squares / (n - 1) / n);
  return result;
}

SampleMean paired_difference(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) {
    throw Error(fmt::format("{} samples cannot be paired with {}", a.size(), b.size()));
  }
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  return sample_mean(differences);
}

}  // namespace reprise
