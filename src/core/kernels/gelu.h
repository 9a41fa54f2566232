#pragma once

#include <cstdint>

namespace reprise {

// y[i] = x[i] Phi(x[i]) for n values, Phi the normal distribution function: the GELU that PyTorch
// computes by default, not its approximation by tanh. x and y may be the same. At most
// 1.5e-7 + 2^-24 |x| from the exact value (gelu-inl.h); NaN and -infinity give NaN.
void gelu(const float* x, int64_t n, float* y);

}  // namespace reprise
