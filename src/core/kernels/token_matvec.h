#pragma once

#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace reprise {

// One token's activations as the integer products take them: blocks of 32 values rounded to
// int8, each behind a scale of its own, so that value i is about scale[i / 32] * q[i].
struct RoundedToken {
  const int8_t* q = nullptr;          // [n_in], -127..127
  const float* scale = nullptr;       // [n_in / 32]: largest magnitude / 127; NaN beside NaN, inf
  const float* scaled_sum = nullptr;  // [n_in / 32]: scale times the sum of the block's q
  const int32_t* sum = nullptr;       // [n_in / 32]: of the block's q
};

// Bytes that round_token() needs for n_in values, a multiple of 32.
size_t rounded_token_bytes(int64_t n_in);
// to: aligned to 16 bytes.
RoundedToken round_token(const float* x, int64_t n_in, std::byte* to);

// y = W x for a single token: as many rows of W at a time as a vector has lanes of 32 bits, so that
// products of bytes need no sums across lanes, scales are turned into F32 together, and the file's
// rows are read where they are. ggml's own product takes row by row.
struct TokenMatvec {
  ggml_type type = GGML_TYPE_Q4_1;
  const std::byte* w = nullptr;  // n_out rows of n_in values, row_bytes apart
  size_t row_bytes = 0;
  int64_t n_in = 0;
  int64_t n_out = 0;
  RoundedToken x;
};

// q4_0, q4_1, q5_0, q5_1, q8_0, iq4_nl, and those of token_matvec_k.
bool has_token_matvec(ggml_type type);

// y[0 .. n) = rows [first, first + n). Where first and n are multiples of 16, every row is computed
// in the same way wherever the rows are split; first + n may be n_out whatever that is.
void token_matvec_rows(const TokenMatvec& m, int64_t first, int64_t n, float* y);

}  // namespace reprise
