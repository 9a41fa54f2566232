#pragma once

#include <cstdint>

namespace reprise {

struct Interval {
  double low = 0;
  double high = 1;
};

// 95 % interval for the share behind n_right of n: Wilson's score interval, which stays inside 0..1
// and is honest near both ends. Source: E. B. Wilson, JASA 22, 1927. [0, 1] when n is 0. Throws
// Error unless 0 <= n_right <= n.
Interval wilson_interval(int64_t n_right, int64_t n);

// Two-sided p-value that two methods are equally good, asked the same questions: n_only_a were
// answered by the first alone and n_only_b by the second alone. McNemar's test in its exact,
// binomial form. 1 when they never differ. Throws Error on negative counts.
double mcnemar_p(int64_t n_only_a, int64_t n_only_b);

}  // namespace reprise
