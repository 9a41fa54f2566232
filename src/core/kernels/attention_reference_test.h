#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "core/kernels/attention.h"

namespace reprise {

// Unit roundoff of F32.
inline constexpr double kUnit = 0x1p-24;

// Bound on the relative error of a sum of n rounded terms in any order, against the sum of their
// magnitudes: n roundings at most, and by Higham and Mary (SIAM J. Sci. Comput. 41, 2019, theorem
// 2.4) less than 6 sqrt(n) unless one of 2 n exp(-18) chances hits.
double sum_error(int64_t n);

// Keys or values of one layer as a cache holds them, and the numbers they stand for. `capacity`
// entries have memory; what stands behind the first n_kv is NaN: a kernel that reads it shows.
class CacheRows {
 public:
  // Normal values times `magnitude`, rounded to the type.
  CacheRows(const AttentionShape& shape, int32_t n_kv, int32_t capacity, float magnitude,
            std::mt19937& rng);

  KvRows view() const;
  // Row n of KV head g: its bytes and, as they were last refreshed, its values.
  std::byte* bytes(int32_t g, int32_t n) { return bytes_.data() + offset(g, n); }
  const float* values(int32_t g, int32_t n) const {
    return values_.data() + (static_cast<size_t>(g) * n_kv_ + n) * n_embd_head_;
  }
  // [n_embd_head, n_kv, n_head_kv]
  const std::vector<float>& all_values() const { return values_; }
  // After a change of bytes.
  void refresh();
  // Entry n becomes the old entry order[n], in every KV head.
  void permute(const std::vector<int32_t>& order);

 private:
  size_t offset(int32_t g, int32_t n) const {
    return (static_cast<size_t>(g) * capacity_ + n) * row_bytes_;
  }

  ggml_type type_;
  int32_t n_embd_head_;
  int32_t n_head_kv_;
  int32_t n_kv_;
  int32_t capacity_;
  size_t row_bytes_;
  std::vector<std::byte> bytes_;
  std::vector<float> values_;
};

// Attention of one query over entries [begin, end) in F64, and how far a kernel in F32 may be from
// it. Vectors over entries have n_kv values, 0 outside of the range.
struct RowReference {
  std::vector<double> out;  // [n_embd_head]
  std::vector<double> out_bound;
  double lse = 0;
  double lse_bound = 0;
  std::vector<double> probs;
  std::vector<double> probs_bound;
};

// What a kernel may make of a query before its products with keys.
enum class QueryRounding : uint8_t {
  kNone,
  kForBlockTypes,  // over q8_0 and q4_0: each 32 values to 255 steps, the largest magnitude to 127
};

// q: [n_embd_head], one head of KV head g.
RowReference attend_row(const AttentionShape& shape, const float* q, const CacheRows& k,
                        const CacheRows& v, int32_t g, int32_t begin, int32_t end,
                        QueryRounding rounding = QueryRounding::kNone);

std::vector<float> random_values(size_t n, float magnitude, std::mt19937& rng);

// f32, f16 and, where the head size is a multiple of their block, q8_0 and q4_0: the i-th of them.
ggml_type cache_type(int32_t n_embd_head, int32_t i);

// A pass over random entries.
struct RandomPass {
  RandomPass(const AttentionShape& shape, const CausalSpan& span, float q_magnitude,
             std::mt19937& rng);

  RowReference reference(int32_t i_token, int32_t head,
                         QueryRounding rounding = QueryRounding::kNone) const;

  AttentionShape shape;
  CausalSpan span;
  CacheRows k;
  CacheRows v;
  std::vector<float> q;  // [n_embd_head, n_head, n_tokens]
};

enum class PartOrder : uint8_t { kForward, kBackward };

// What prefill_attention makes of a pass. Fails the test if it writes behind its scratch.
struct PrefillResult {
  std::vector<float> out;  // [n_embd_head, n_head, n_tokens]
  std::vector<float> lse;  // [n_head, n_tokens]
};
PrefillResult prefill(const RandomPass& pass, PartOrder order = PartOrder::kForward);

}  // namespace reprise
