#pragma once

#include "core/kernels/token_matvec.h"

namespace reprise {

// What token_matvec_rows() does for ggml's K-quants, blocks of 256 values whose parts have small
// integer scales of their own: q4_k, q5_k and q6_k.
bool has_token_matvec_k(ggml_type type);
void token_matvec_k_rows(const TokenMatvec& m, int64_t first, int64_t n, float* y);

}  // namespace reprise
