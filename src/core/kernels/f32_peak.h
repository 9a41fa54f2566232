#pragma once

#include <cstdint>

namespace reprise {

// Multiplies small matrices that stay in the first cache, in the registers' product that prompts
// are computed with: the arithmetic ceiling of those kernels. Returns the operations done, about
// n_rounds x 10^6, a multiply-add counting two.
double f32_peak(int32_t n_rounds);

}  // namespace reprise
