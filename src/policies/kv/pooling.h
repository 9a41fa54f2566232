#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace reprise {

// out[n] = sum of value(n + u) over |u| <= n_pool / 2, divided by n_pool (odd); terms beyond the
// ends count as 0 and the divisor stays, as CAKE's code does (ggml's pooling divides by the valid
// terms). Sums in F64 from the lowest index up, so that equal windows give equal bits.
template <typename Value>
void pool_average(const Value& value, int32_t n_pool, std::span<float> out) {
  const auto half = static_cast<size_t>(n_pool / 2);
  for (size_t n = 0; n < out.size(); ++n) {
    const size_t first = n - std::min(n, half);
    const size_t last = std::min(out.size() - 1, n + half);
    double sum = 0;
    for (size_t i = first; i <= last; ++i) sum += value(i);
    out[n] = static_cast<float>(sum / n_pool);
  }
}

}  // namespace reprise
