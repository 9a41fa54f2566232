#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/chunk_attention.h"
#include "nets/policy_transformer_model.h"

namespace reprise {

// mish(z) = z tanh(ln(1 + e^z)), exact in F32 for every z.
float mish(float z);

// Of timestep t: half the values sin(t f_i), then cos(t f_i), with f_i = exp(-i ln(10000) / (half -
// 1)). out: [n_embd].
void time_embedding(int32_t t, std::span<float> out);

// The condition encoder: a perceptron for each row of c, positions already added. c, m:
// [n][n_embd].
void encode_conditions(const PolicyTransformerModel& model, const float* c, int64_t n, float* m);

// Folds encoded memory rows m [n_rows][n_embd] for cross attention of layer il. out:
// FoldedRows::size(hparams, n_rows) values.
void fold_memory(const PolicyTransformerModel& model, int32_t il, const float* m, int64_t n_rows,
                 float* out);

// The parts of folded rows.
FoldedMemory folded_memory(const PolicyHparams& hp, const float* folded, int64_t n_rows);

}  // namespace reprise
