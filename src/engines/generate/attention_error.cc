#include "engines/generate/attention_error.h"

#include <fmt/format.h>

#include <cmath>

#include "core/error.h"

namespace reprise {

void AttentionError::add(std::span<const float> full, std::span<const float> policy,
                         int32_t n_layer, int32_t n_tokens) {
  const size_t n_rows = static_cast<size_t>(n_layer) * n_tokens;
  if (full.size() != policy.size() || n_rows == 0 || full.size() % n_rows != 0) {
    throw Error(fmt::format("{} and {} values are no attention of {} tokens in {} layers",
                            full.size(), policy.size(), n_tokens, n_layer));
  }
  const size_t width = full.size() / n_rows;
  layers_.resize(n_layer);
  for (size_t row = 0; row < n_rows; ++row) {
    double square = 0;
    double square_of_full = 0;
    for (size_t i = row * width; i < (row + 1) * width; ++i) {
      const double difference = double{policy[i]} - full[i];
      square += difference * difference;
      square_of_full += double{full[i]} * full[i];
    }
    if (square_of_full > 0) layers_[row % n_layer].add(std::sqrt(square / square_of_full));
  }
}

}  // namespace reprise
