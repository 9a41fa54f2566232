#include "core/kernels/attention_reference_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernels/prefill_attention.h"

namespace reprise {
namespace {

constexpr int32_t kGuard = 64;  // values behind a scratch that nobody may write
constexpr float kGuardValue = 123456.0F;

// Of one query and one entry: the value, and how far F32 may be from it.
struct Logit {
  double value;
  double bound;
};

// How far q k moves when the 32 values of each block are rounded to n steps: x = max / 127 n with n
// nearest to x 127 / max. Half a step, and of a step what F32 makes of both quotients and the
// product, three roundings of at most 127 steps (400 units: with those of second order).
double rounding_error(int32_t n_embd_head, const float* q, const float* k) {
  constexpr int32_t kBlock = 32;
  double error = 0;
  for (int32_t x = 0; x < n_embd_head; x += kBlock) {
    double max = 0;
    double keys = 0;
    for (int32_t i = x; i < x + kBlock; ++i) {
      max = std::max(max, std::abs(static_cast<double>(q[i])));
      keys += std::abs(static_cast<double>(k[i]));
    }
    error += max / 127 * (0.5 + 400 * kUnit) * keys;
  }
  return error;
}

Logit logit(const AttentionShape& shape, const float* q, const float* k, QueryRounding rounding) {
  double dot = 0;
  double magnitude = 0;
  for (int32_t x = 0; x < shape.n_embd_head; ++x) {
    const double term = static_cast<double>(q[x]) * k[x];
    dot += term;
    magnitude += std::abs(term);
  }
  const bool is_rounded =
      rounding == QueryRounding::kForBlockTypes && ggml_blck_size(shape.type) > 1;
  const double moved = is_rounded ? rounding_error(shape.n_embd_head, q, k) : 0;
  // The scale's product is one rounding more: of each query value, or of the sum.
  const double bound = moved + sum_error(shape.n_embd_head + 1) * (magnitude + moved);
  return {dot * shape.scale, bound * std::abs(shape.scale)};
}

}  // namespace

double sum_error(int64_t n) {
  const auto terms = static_cast<double>(n);
  return std::min(terms, 6 * std::sqrt(terms)) * kUnit;
}

CacheRows::CacheRows(const AttentionShape& shape, int32_t n_kv, int32_t capacity, float magnitude,
                     std::mt19937& rng)
    : type_(shape.type),
      n_embd_head_(shape.n_embd_head),
      n_head_kv_(shape.n_head_kv),
      n_kv_(n_kv),
      capacity_(capacity),
      row_bytes_(ggml_row_size(shape.type, shape.n_embd_head)),
      // All bits set: NaN as F32, as F16 and as a block's scale.
      bytes_(row_bytes_ * capacity * shape.n_head_kv, std::byte{0xFF}),
      values_(static_cast<size_t>(n_embd_head_) * n_kv * n_head_kv_) {
  const auto normal = random_values(values_.size(), magnitude, rng);
  for (int32_t g = 0; g < n_head_kv_; ++g) {
    const float* from = normal.data() + static_cast<size_t>(g) * n_kv_ * n_embd_head_;
    ggml_quantize_chunk(type_, from, bytes(g, 0), 0, n_kv_, n_embd_head_, nullptr);
  }
  refresh();
}

KvRows CacheRows::view() const { return {bytes_.data(), row_bytes_, row_bytes_ * capacity_}; }

void CacheRows::refresh() {
  const ggml_to_float_t to_float = ggml_get_type_traits(type_)->to_float;
  float* to = values_.data();
  for (int32_t g = 0; g < n_head_kv_; ++g) {
    for (int32_t n = 0; n < n_kv_; ++n, to += n_embd_head_) {
      if (type_ == GGML_TYPE_F32) {
        std::copy_n(reinterpret_cast<const float*>(bytes(g, n)), n_embd_head_, to);
      } else {
        to_float(bytes(g, n), to, n_embd_head_);
      }
    }
  }
}

void CacheRows::permute(const std::vector<int32_t>& order) {
  const std::vector<std::byte> old = bytes_;
  for (int32_t g = 0; g < n_head_kv_; ++g) {
    for (int32_t n = 0; n < n_kv_; ++n)
      std::copy_n(old.data() + offset(g, order[n]), row_bytes_, bytes(g, n));
  }
  refresh();
}

RowReference attend_row(const AttentionShape& shape, const float* q, const CacheRows& k,
                        const CacheRows& v, int32_t g, int32_t begin, int32_t end,
                        QueryRounding rounding) {
  const int32_t n_embd_head = shape.n_embd_head;
  const size_t n_kv = k.all_values().size() / n_embd_head / shape.n_head_kv;
  const int32_t n = end - begin;
  RowReference row{.out = std::vector<double>(n_embd_head),
                   .out_bound = std::vector<double>(n_embd_head),
                   .probs = std::vector<double>(n_kv),
                   .probs_bound = std::vector<double>(n_kv)};
  std::vector<Logit> logits(n);
  double max = -std::numeric_limits<double>::infinity();
  for (int32_t i = 0; i < n; ++i) {
    logits[i] = logit(shape, q, k.values(g, begin + i), rounding);
    max = std::max(max, logits[i].value);
  }
  double sum = 0;
  for (int32_t i = 0; i < n; ++i) sum += row.probs[begin + i] = std::exp(logits[i].value - max);
  for (int32_t i = 0; i < n; ++i) {
    row.probs[begin + i] /= sum;
    const float* value = v.values(g, begin + i);
    for (int32_t x = 0; x < n_embd_head; ++x) row.out[x] += row.probs[begin + i] * value[x];
  }
  row.lse = max + std::log(sum);

  // A kernel's weight of entry i is exp(logit_i - max) but for a factor exp(error), and all it
  // makes of the max cancels. |error| is at most: the logit's; the rounding of what is subtracted,
  // in all steps from one max to the next together that of logit_i - max; an exp of 2 ulp (4 units)
  // and a product for each new max, of which a tile of 64 has one and a merge of parts another.
  const double n_exps = 3.0 + n / 64.0;
  const auto weight_error = [&](int32_t i) {
    return logits[i].bound + kUnit * (max - logits[i].value) + 5 * kUnit * n_exps;
  };
  double grown = 0;   // sum of weights, had all errors pushed it one way, but for 1
  double shrunk = 0;  // or the other
  for (int32_t i = 0; i < n; ++i) {
    grown += row.probs[begin + i] * std::expm1(weight_error(i));
    shrunk += row.probs[begin + i] * std::exp(-weight_error(i));
  }
  const double total_error = std::max(grown, -std::log(shrunk)) + sum_error(n + 8);
  // Below the smallest normal number a weight is as good as 0.
  constexpr double kTiny = 0x1p-125;
  row.lse_bound = total_error + kUnit * (2 * std::abs(std::log(sum)) + std::abs(row.lse));
  for (int32_t i = 0; i < n; ++i) {
    // Divided by the total, or as exp(logit - lse).
    const double error = weight_error(i) + row.lse_bound + kUnit * (row.lse - max) + 5 * kUnit;
    row.probs_bound[begin + i] = row.probs[begin + i] * std::expm1(error) + kTiny;
  }
  for (int32_t x = 0; x < n_embd_head; ++x) {
    // out' - out = sum_i p_i (exp(error_i) - 1) (v_i - out) / sum_i p_i exp(error_i), and the
    // roundings of both sums and of their quotient.
    double moved = 0;
    double magnitude = 0;
    double farthest = 0;
    for (int32_t i = 0; i < n; ++i) {
      const double value = v.values(g, begin + i)[x];
      const double distance = std::abs(value - row.out[x]);
      moved += row.probs[begin + i] * std::expm1(weight_error(i)) * distance;
      magnitude += row.probs[begin + i] * std::abs(value);
      farthest = std::max(farthest, distance);
    }
    row.out_bound[x] =
        moved / shrunk + 2 * sum_error(n + 8) * magnitude + n * kTiny * (farthest + 1);
  }
  return row;
}

std::vector<float> random_values(size_t n, float magnitude, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& x : values) x = magnitude * normal(rng);
  return values;
}

ggml_type cache_type(int32_t n_embd_head, int32_t i) {
  constexpr ggml_type kTypes[] = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0};
  return kTypes[i % (n_embd_head % 32 == 0 ? 4 : 2)];
}

RandomPass::RandomPass(const AttentionShape& s, const CausalSpan& c, float q_magnitude,
                       std::mt19937& rng)
    : shape(s),
      span(c),
      k(s, c.n_kv(), c.n_kv() + 3, 1, rng),
      v(s, c.n_kv(), c.n_kv() + 3, 1, rng),
      q(random_values(static_cast<size_t>(s.n_embd_head) * s.n_head * c.n_tokens, q_magnitude,
                      rng)) {}

RowReference RandomPass::reference(int32_t i_token, int32_t head, QueryRounding rounding) const {
  const float* row =
      q.data() + (static_cast<size_t>(i_token) * shape.n_head + head) * shape.n_embd_head;
  return attend_row(shape, row, k, v, head / shape.n_group(), span.begin(i_token),
                    span.end(i_token), rounding);
}

PrefillResult prefill(const RandomPass& pass, PartOrder order) {
  const AttentionShape& s = pass.shape;
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const size_t n_rows = static_cast<size_t>(s.n_head) * pass.span.n_tokens;
  PrefillResult result{std::vector<float>(n_rows * s.n_embd_head, kNan),
                       std::vector<float>(n_rows, kNan)};
  const PrefillAttention a{.shape = s,
                           .k = pass.k.view(),
                           .v = pass.v.view(),
                           .span = pass.span,
                           .q = pass.q.data(),
                           .out = result.out.data(),
                           .lse = result.lse.data()};
  const int64_t n_scratch = prefill_attention_scratch(s);
  std::vector<float> scratch(n_scratch + kGuard, kNan);
  std::fill_n(scratch.end() - kGuard, kGuard, kGuardValue);
  const int32_t n_parts = s.n_head_kv * a.n_parts();
  for (int32_t i = 0; i < n_parts; ++i) {
    const int32_t part = order == PartOrder::kForward ? i : n_parts - 1 - i;
    prefill_attention_part(a, part / a.n_parts(), part % a.n_parts(), scratch.data());
  }
  EXPECT_EQ(std::count(scratch.end() - kGuard, scratch.end(), kGuardValue), kGuard)
      << "prefill_attention writes behind its scratch";
  return result;
}

}  // namespace reprise
