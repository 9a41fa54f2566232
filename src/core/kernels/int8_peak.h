#pragma once

#include <cstdint>

namespace reprise {

// Multiplies small matrices of bytes that stay in the first cache, in the integer dot product of
// int_dot-inl.h (a plain loop under the scalar target): the arithmetic ceiling of integer kernels.
// Returns the operations done, about n_rounds x 10^6, a multiply-add counting two.
double int8_peak(int32_t n_rounds);

}  // namespace reprise
