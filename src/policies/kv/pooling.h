#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace reprise {

// out[n] = sum of value(n + u) over |u| <= n_pool / 2, divided by n_pool (odd); terms beyond the
// ends count as 0 and the divisor stays, as CAKE's code does (ggml's pooling divides by the valid
// terms). Sums in F64 from the lowest index up, so that equal windows give equal bits; neighbouring
// sums side by side, so that each costs no chain of additions.
template <typename Value>
void pool_average(const Value& value, int32_t n_pool, std::span<float> out) {
  const auto n_out = static_cast<ptrdiff_t>(out.size());
  std::array<double, 256> sums;
  const auto n_most = static_cast<ptrdiff_t>(sums.size());
  for (ptrdiff_t at = 0; at < n_out; at += n_most) {
    const ptrdiff_t end = std::min(n_out, at + n_most);
    sums.fill(0);
    for (ptrdiff_t u = -(n_pool / 2); u <= n_pool / 2; ++u) {
      const ptrdiff_t last = std::min(end, n_out - u);
      for (ptrdiff_t n = std::max(at, -u); n < last; ++n) sums[n - at] += value(n + u);
    }
    for (ptrdiff_t n = at; n < end; ++n) out[n] = static_cast<float>(sums[n - at] / n_pool);
  }
}

}  // namespace reprise
