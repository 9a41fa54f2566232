#include "core/binomial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace reprise {

Interval wilson_interval(int64_t n_right, int64_t n) {
  if (n_right < 0 || n_right > n) throw Error(fmt::format("{} of {} is no share", n_right, n));
  if (n == 0) return {};
  constexpr double kZ = 1.959963984540054;  // 97.5 % of a normal distribution lie below
  const auto size = static_cast<double>(n);
  const double share = static_cast<double>(n_right) / size;
  const double scale = 1 + kZ * kZ / size;
  const double middle = (share + kZ * kZ / (2 * size)) / scale;
  const double half =
      kZ / scale * std::sqrt(share * (1 - share) / size + kZ * kZ / (4 * size * size));
  return {n_right == 0 ? 0 : middle - half, n_right == n ? 1 : middle + half};
}

double mcnemar_p(int64_t n_only_a, int64_t n_only_b) {
  if (n_only_a < 0 || n_only_b < 0) {
    throw Error(fmt::format("{} and {} are no counts", n_only_a, n_only_b));
  }
  const int64_t n = n_only_a + n_only_b;
  const auto log_factorial = [](int64_t k) { return std::lgamma(static_cast<double>(k) + 1); };
  // Chance of at most that few out of n fair coins, twice for both sides.
  double tail = 0;
  for (int64_t k = 0; k <= std::min(n_only_a, n_only_b); ++k) {
    tail += std::exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) -
                     static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

}  // namespace reprise
