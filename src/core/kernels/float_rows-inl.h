// Decode attention over rows that are read as F32, compiled once per SIMD target.
#if defined(REPRISE_FLOAT_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_FLOAT_ROWS_INL
#undef REPRISE_FLOAT_ROWS_INL
#else
#define REPRISE_FLOAT_ROWS_INL
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

// Sums of four vectors, as four values side by side.
template <class D, class V>
HWY_INLINE void store_four_sums(D d, V a, V b, V c, V e, float* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR
  to[0] = hn::GetLane(a);
  to[1] = hn::GetLane(b);
  to[2] = hn::GetLane(c);
  to[3] = hn::GetLane(e);
  (void)d;
#else
  if constexpr (hn::MaxLanes(D()) < 4) {
    to[0] = hn::GetLane(hn::SumOfLanes(d, a));
    to[1] = hn::GetLane(hn::SumOfLanes(d, b));
    to[2] = hn::GetLane(hn::SumOfLanes(d, c));
    to[3] = hn::GetLane(hn::SumOfLanes(d, e));
  } else {
    // Within each 128-bit block: sums of a, b, c and e.
    const hn::RepartitionToWide<D> pairs;
    const auto ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
    const auto ce = hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
    const auto low = hn::InterleaveLower(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ce));
    const auto high = hn::InterleaveUpper(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ce));
    auto blocks = hn::Add(hn::BitCast(d, low), hn::BitCast(d, high));
    if constexpr (hn::MaxLanes(D()) == 16) {
      const hn::Half<D> half;
      const hn::Half<decltype(half)> quarter;
      const auto two = hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks));
      hn::StoreU(hn::Add(hn::LowerHalf(quarter, two), hn::UpperHalf(quarter, two)), quarter, to);
    } else if constexpr (hn::MaxLanes(D()) == 8) {
      const hn::Half<D> half;
      hn::StoreU(hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks)), half, to);
    } else {
      hn::StoreU(blocks, d, to);
    }
  }
#endif
}

// Logits of kHeads heads for four entries, and for one.
template <class Rows, int32_t kHeads, class D>
HWY_INLINE void four_logits(D d, const float* HWY_RESTRICT q, int32_t n_embd_head,
                            const std::byte* k, size_t row_bytes, float* HWY_RESTRICT logits,
                            int64_t n_kv) {
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  hn::Vec<D> sum[4][kHeads];
  for (auto& row : sum)
    for (auto& value : row) value = hn::Zero(d);
  for (int32_t x = 0; x < n_embd_head; x += n_lanes) {
    const auto k0 = Rows::load(d, k, x);
    const auto k1 = Rows::load(d, k + row_bytes, x);
    const auto k2 = Rows::load(d, k + 2 * row_bytes, x);
    const auto k3 = Rows::load(d, k + 3 * row_bytes, x);
    for (int32_t h = 0; h < kHeads; ++h) {
      const auto value = hn::LoadU(d, q + static_cast<ptrdiff_t>(h) * n_embd_head + x);
      sum[0][h] = hn::MulAdd(k0, value, sum[0][h]);
      sum[1][h] = hn::MulAdd(k1, value, sum[1][h]);
      sum[2][h] = hn::MulAdd(k2, value, sum[2][h]);
      sum[3][h] = hn::MulAdd(k3, value, sum[3][h]);
    }
  }
  for (int32_t h = 0; h < kHeads; ++h)
    store_four_sums(d, sum[0][h], sum[1][h], sum[2][h], sum[3][h], logits + h * n_kv);
}

template <class Rows, class D>
HWY_INLINE float one_logit(D d, const float* q, int32_t n_embd_head, const std::byte* k) {
  auto sum = hn::Zero(d);
  for (int32_t x = 0; x < n_embd_head; x += static_cast<int32_t>(hn::Lanes(d)))
    sum = hn::MulAdd(Rows::load(d, k, x), hn::LoadU(d, q + x), sum);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <class Rows, int32_t kHeads, class D>
void attend(D d, const float* q, int32_t n_embd_head, const RowRun& k, float* logits,
            int64_t n_kv) {
  int32_t i = 0;
  for (; i + 4 <= k.n; i += 4) {
    k.prefetch(i, 4);
    four_logits<Rows, kHeads>(d, q, n_embd_head, k.at(i), k.row_bytes, logits + i, n_kv);
  }
  for (; i < k.n; ++i) {
    for (int32_t h = 0; h < kHeads; ++h)
      logits[h * n_kv + i] =
          one_logit<Rows>(d, q + static_cast<ptrdiff_t>(h) * n_embd_head, n_embd_head, k.at(i));
  }
}

// out[kHeads][kVecs vectors] = weights [kHeads] x rows of V.
template <class Rows, int32_t kHeads, int32_t kVecs, class D>
HWY_INLINE void weigh_columns(D d, const float* HWY_RESTRICT weights, int64_t n_kv, const RowRun& v,
                              int32_t x, float* HWY_RESTRICT out, int32_t n_embd_head) {
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  hn::Vec<D> sum[kHeads][kVecs];
  for (auto& row : sum)
    for (auto& value : row) value = hn::Zero(d);
  for (int32_t i = 0; i < v.n; ++i) {
    v.prefetch(i, 1);
    hn::Vec<D> value[kVecs];
    for (int32_t c = 0; c < kVecs; ++c) value[c] = Rows::load(d, v.at(i), x + c * n_lanes);
    for (int32_t h = 0; h < kHeads; ++h) {
      const auto weight = hn::Set(d, weights[h * n_kv + i]);
      for (int32_t c = 0; c < kVecs; ++c) sum[h][c] = hn::MulAdd(weight, value[c], sum[h][c]);
    }
  }
  for (int32_t h = 0; h < kHeads; ++h)
    for (int32_t c = 0; c < kVecs; ++c)
      hn::StoreU(sum[h][c], d, out + static_cast<ptrdiff_t>(h) * n_embd_head + x + c * n_lanes);
}

template <class Rows, int32_t kHeads, class D>
void weigh(D d, const float* weights, int64_t n_kv, const RowRun& v, float* out,
           int32_t n_embd_head) {
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  int32_t x = 0;
  for (; x + 4 * n_lanes <= n_embd_head; x += 4 * n_lanes)
    weigh_columns<Rows, kHeads, 4>(d, weights, n_kv, v, x, out, n_embd_head);
  for (; x < n_embd_head; x += n_lanes)
    weigh_columns<Rows, kHeads, 1>(d, weights, n_kv, v, x, out, n_embd_head);
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_FLOAT_ROWS_INL
