// Layer norm of one row, compiled once per SIMD target. Include guard after Highway's convention
// for such headers.
#if defined(REPRISE_LAYER_NORM_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_LAYER_NORM_INL
#undef REPRISE_LAYER_NORM_INL
#else
#define REPRISE_LAYER_NORM_INL
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstdint>

#include "core/kernels/layer_norm.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// f(tag, i) for whole vectors of n values, then for the rest one by one.
template <class F>
HWY_INLINE void for_each_vector(int64_t n, F&& f) {
  const hn::ScalableTag<float> d;
  const auto n_lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) f(d, i);
  for (; i < n; ++i) f(hn::CappedTag<float, 1>(), i);
}

// Sum of f(tag, i), vectors of n values, in a fixed order.
template <class F>
HWY_INLINE float sum_over(int64_t n, F&& f) {
  const hn::ScalableTag<float> d;
  const auto n_lanes = static_cast<int64_t>(hn::Lanes(d));
  auto even = hn::Zero(d);
  auto odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * n_lanes <= n; i += 2 * n_lanes) {
    even = hn::Add(even, f(d, i));
    odd = hn::Add(odd, f(d, i + n_lanes));
  }
  for (; i + n_lanes <= n; i += n_lanes) even = hn::Add(even, f(d, i));
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < n; ++i) sum += hn::GetLane(f(hn::CappedTag<float, 1>(), i));
  return sum;
}

struct RowMoments {
  float mean;
  float inverse;  // 1 / sqrt(variance + eps)
};

HWY_INLINE RowMoments row_moments(const float* x, int64_t n, float eps) {
  const auto count = static_cast<float>(n);
  const float mean = sum_over(n, [&](auto d, int64_t i) { return hn::LoadU(d, x + i); }) / count;
  const float squares = sum_over(n, [&](auto d, int64_t i) {
    const auto centred = hn::Sub(hn::LoadU(d, x + i), hn::Set(d, mean));
    return hn::Mul(centred, centred);
  });
  return {mean, 1.0F / std::sqrt(squares / count + eps)};
}

// Values i of the normed row.
template <class D>
HWY_INLINE hn::Vec<D> normed(D d, const LayerNorm& norm, const RowMoments& moments, const float* x,
                             int64_t i) {
  const auto centred = hn::Sub(hn::LoadU(d, x + i), hn::Set(d, moments.mean));
  return hn::MulAdd(hn::Mul(centred, hn::Set(d, moments.inverse)), hn::LoadU(d, norm.weight + i),
                    hn::LoadU(d, norm.bias + i));
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_LAYER_NORM_INL
