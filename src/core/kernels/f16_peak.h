#pragma once

#include <cstdint>

namespace reprise {

// Multiplies rows of F16 that stay in the first cache with one vector of F32, each value converted
// as it is loaded and used once: the arithmetic ceiling of what reads F16 weights or cache entries
// for one token. Returns the operations done, about n_rounds x 10^6, a multiply-add counting two.
double f16_peak(int32_t n_rounds);

}  // namespace reprise
