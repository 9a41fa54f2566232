#include "core/ragged_attention_node.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "core/kernels/attention_reference_test.h"

namespace reprise {
namespace {

constexpr int32_t kHeadLength = 32;
constexpr int32_t kHeads = 4;
constexpr int32_t kKvHeads = 2;
constexpr float kScale = 0.2F;

// One text: what its cache holds before a pass, and the rows that the pass computes.
struct Text {
  int32_t n_kv;
  int32_t first;
  int32_t n;
  std::vector<float> k;  // [n_kv][kKvHeads][kHeadLength], before the pass
  std::vector<float> v;
};

std::vector<float> rows(size_t n, std::mt19937& rng) { return random_values(n, 1, rng); }

// Softmax attention of one head over all entries, in F64.
double attend(const float* q, const Text& text, int32_t g, int32_t x) {
  std::vector<double> weights;
  double total = 0;
  for (int32_t i = 0; i < text.n_kv; ++i) {
    double dot = 0;
    for (int32_t y = 0; y < kHeadLength; ++y)
      dot += static_cast<double>(q[y]) * text.k[(i * kKvHeads + g) * kHeadLength + y];
    weights.push_back(std::exp(dot * kScale));
    total += weights.back();
  }
  double out = 0;
  for (int32_t i = 0; i < text.n_kv; ++i)
    out += weights[i] * text.v[(i * kKvHeads + g) * kHeadLength + x];
  return out / total;
}

void put_all(const Backend& backend, KvBlock& block, const Text& text) {
  GraphArena arena(backend);
  arena.begin();
  ggml_tensor* k = ggml_new_tensor_3d(arena.ctx(), GGML_TYPE_F32, kHeadLength, kKvHeads, text.n_kv);
  ggml_tensor* v = ggml_dup_tensor(arena.ctx(), k);
  ggml_set_input(k);
  ggml_set_input(v);
  block.put(arena, 0, k, v);
  arena.allocate();
  ggml_backend_tensor_set(k, text.k.data(), 0, ggml_nbytes(k));
  ggml_backend_tensor_set(v, text.v.data(), 0, ggml_nbytes(v));
  arena.compute();
}

// A device and the type of the entries.
class RaggedAttention : public testing::TestWithParam<std::tuple<std::string, ggml_type>> {};

// Texts of different lengths in one pass, rows at the start, in the middle, at the end, all of
// them: every row sees all entries, those that the pass has replaced as they are now.
TEST_P(RaggedAttention, EqualsF64) {
  std::mt19937 rng(7);
  const Backend backend(2, WeightUse::kAuto, Device::parse(std::get<0>(GetParam())));
  std::vector<Text> texts = {{40, 8, 9, {}, {}},
                             {3, 0, 3, {}, {}},
                             {150, 149, 1, {}, {}},
                             {77, 0, 1, {}, {}},
                             {130, 20, 100, {}, {}}};
  KvMemory memory(backend.kv_placement());
  std::vector<KvBlock> blocks;
  std::vector<RaggedSequence> sequences;
  int32_t n_rows = 0;
  for (Text& text : texts) {
    text.k = rows(static_cast<size_t>(text.n_kv) * kKvHeads * kHeadLength, rng);
    text.v = rows(text.k.size(), rng);
    n_rows += text.n;
  }
  blocks.reserve(texts.size());
  for (const Text& text : texts) {
    blocks.emplace_back(KvShape{kHeadLength, kKvHeads, std::get<1>(GetParam())}, text.n_kv, memory);
    put_all(backend, blocks.back(), text);
    sequences.push_back({&blocks.back(), text.n, text.first, text.n_kv});
  }
  const std::vector<float> q_values = rows(static_cast<size_t>(n_rows) * kHeads * kHeadLength, rng);
  const std::vector<float> k_values =
      rows(static_cast<size_t>(n_rows) * kKvHeads * kHeadLength, rng);
  const std::vector<float> v_values = rows(k_values.size(), rng);
  GraphArena arena(backend);
  arena.begin();
  ggml_tensor* q = ggml_new_tensor_3d(arena.ctx(), GGML_TYPE_F32, kHeadLength, kHeads, n_rows);
  ggml_tensor* k = ggml_new_tensor_3d(arena.ctx(), GGML_TYPE_F32, kHeadLength, kKvHeads, n_rows);
  ggml_tensor* v = ggml_dup_tensor(arena.ctx(), k);
  for (ggml_tensor* t : {q, k, v}) ggml_set_input(t);
  ggml_tensor* out = ragged_attention_nodes(arena, sequences, q, k, v, kScale);
  ggml_set_output(out);
  ggml_build_forward_expand(arena.graph(), out);
  arena.allocate();
  ggml_backend_tensor_set(q, q_values.data(), 0, ggml_nbytes(q));
  ggml_backend_tensor_set(k, k_values.data(), 0, ggml_nbytes(k));
  ggml_backend_tensor_set(v, v_values.data(), 0, ggml_nbytes(v));
  arena.compute();
  std::vector<float> got(ggml_nelements(out));
  ggml_backend_tensor_get(out, got.data(), 0, ggml_nbytes(out));

  int32_t row = 0;
  for (Text& text : texts) {
    for (int32_t i = 0; i < text.n; ++i) {
      const size_t to = static_cast<size_t>(text.first + i) * kKvHeads * kHeadLength;
      const size_t from = static_cast<size_t>(row + i) * kKvHeads * kHeadLength;
      std::copy_n(k_values.begin() + from, kKvHeads * kHeadLength, text.k.begin() + to);
      std::copy_n(v_values.begin() + from, kKvHeads * kHeadLength, text.v.begin() + to);
    }
    for (int32_t i = 0; i < text.n; ++i, ++row) {
      for (int32_t h = 0; h < kHeads; ++h) {
        const size_t at = (static_cast<size_t>(row) * kHeads + h) * kHeadLength;
        for (const int32_t x : {0, 5, kHeadLength - 1}) {
          const double want = attend(q_values.data() + at, text, h / (kHeads / kKvHeads), x);
          // Values up to 1; sums of 150 weighted values and of 32 products in F32. F16 rounds keys
          // and values by 2^-11, which moves 32 products of a logit, and the sum. ggml's own form
          // rounds the weighted values so.
          const bool is_f32 =
              std::get<0>(GetParam()) == "cpu" && std::get<1>(GetParam()) == GGML_TYPE_F32;
          const double error = is_f32 ? 2e-5 : 32 * kScale * 0x1p-11 + 0x1p-11;
          ASSERT_NEAR(got[at + x], want, error) << "row " << row << " head " << h;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, RaggedAttention,
                         testing::Combine(testing::Values("cpu", "ggml-cpu"),
                                          testing::Values(GGML_TYPE_F32, GGML_TYPE_F16)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param) == "cpu" ? "Kernels"
                                                                               : "Ggml") +
                                  (std::get<1>(info.param) == GGML_TYPE_F32 ? "F32" : "F16");
                         });

}  // namespace
}  // namespace reprise
