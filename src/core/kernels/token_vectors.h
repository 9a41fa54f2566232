#pragma once

#include <cstdint>

namespace reprise {

// Element-wise steps between the products of a single token, short enough for every thread to do
// them for itself rather than wait for another.

// out = x / sqrt(mean(x^2) + eps) * weight, all [n]. Source: RMSNorm, arXiv 1910.07467, equation 4.
// out may be x.
void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out);

// out = silu(gate) * up, all [n]: SwiGLU, arXiv 2002.05202. out may be gate or up.
void swiglu(const float* gate, const float* up, int64_t n, float* out);
// out = gelu(gate) * up, with the approximation by tanh: GEGLU, same source; likewise.
void geglu(const float* gate, const float* up, int64_t n, float* out);

}  // namespace reprise
