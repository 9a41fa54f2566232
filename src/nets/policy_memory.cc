#include "nets/policy_memory.h"

#include <algorithm>
#include <cmath>

namespace reprise {
namespace {

void product(const PackedWeights& w, const float* bias, const float* x, int64_t x_row,
             int64_t n_rows, float* y) {
  packed_product({w, bias, x, x_row, n_rows, y, w.n_out, PackedResult::kPlain});
}

}  // namespace

float mish(float z) {
  // tanh(ln(1 + e)) = ((1 + e)^2 - 1) / ((1 + e)^2 + 1) = e (e + 2) / (e (e + 2) + 2), e = exp(z).
  if (z > 20.0F) return z;  // the quotient is 1 in F32
  const double e = std::exp(static_cast<double>(z));
  const double q = e * (e + 2);
  return static_cast<float>(z * (q / (q + 2)));
}

void time_embedding(int32_t t, std::span<float> out) {
  const size_t half = out.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    // In F32 as the reference has it: what follows was trained on these very numbers.
    const auto step = static_cast<float>(std::log(10000.0) / static_cast<double>(half - 1));
    const float angle = static_cast<float>(t) * std::exp(-step * static_cast<float>(i));
    out[i] = std::sin(angle);
    out[half + i] = std::cos(angle);
  }
}

void encode_conditions(const PolicyTransformerModel& model, const float* c, int64_t n, float* m) {
  const int64_t d = model.hparams.n_embd;
  std::vector<float> hidden(n * model.hparams.n_ff());
  product(model.encoder1, model.encoder1_bias, c, d, n, hidden.data());
  for (float& value : hidden) value = mish(value);
  product(model.encoder2, model.encoder2_bias, hidden.data(), model.hparams.n_ff(), n, m);
}

FoldedMemory folded_memory(const PolicyHparams& hp, const float* folded, int64_t n_rows) {
  const int64_t n_columns = n_rows * hp.n_head;
  return {.keys = folded,
          .biases = folded + 2 * n_columns * hp.n_embd,
          .values = folded + n_columns * hp.n_embd,
          .n_rows = n_rows};
}

void fold_memory(const PolicyTransformerModel& model, int32_t il, const float* m, int64_t n_rows,
                 float* out) {
  const PolicyHparams& hp = model.hparams;
  const PolicyLayer& layer = model.layers[il];
  const int64_t d = hp.n_embd;
  const int64_t n_head = hp.n_head;
  const int64_t n_embd_head = hp.n_embd_head();
  const int64_t n_columns = n_rows * n_head;
  const float scale = 1.0F / std::sqrt(static_cast<float>(n_embd_head));
  float* keys = out;                        // [d][n_columns]
  float* values = out + n_columns * d;      // [n_columns][d]
  float* biases = out + 2 * n_columns * d;  // [n_columns]
  std::vector<float> kv(n_rows * 2 * d);
  std::vector<float> folded(n_rows * d);
  product(layer.memory_kv, layer.memory_kv_bias, m, d, n_rows, kv.data());
  for (int64_t j = 0; j < n_head; ++j) {
    const float* k = kv.data() + j * n_embd_head;
    product(layer.fold_key[j], nullptr, k, 2 * d, n_rows, folded.data());
    for (int64_t s = 0; s < n_rows; ++s) {
      float bias = 0;
      for (int64_t i = 0; i < n_embd_head; ++i)
        bias += layer.query_bias[j * n_embd_head + i] * k[s * 2 * d + i];
      biases[s * n_head + j] = scale * bias;
      for (int64_t i = 0; i < d; ++i)
        keys[i * n_columns + s * n_head + j] = scale * folded[s * d + i];
    }
    product(layer.fold_value[j], nullptr, k + d, 2 * d, n_rows, folded.data());
    for (int64_t s = 0; s < n_rows; ++s)
      std::copy_n(folded.data() + s * d, d, values + (s * n_head + j) * d);
  }
}

}  // namespace reprise
