#include "core/kernels/token_vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/token_vectors.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

// f(tag, i) for whole vectors of n values, then for the rest one by one.
template <class F>
HWY_INLINE void for_vectors(int64_t n, F&& f) {
  const F32 d;
  const auto n_lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) f(d, i);
  for (; i < n; ++i) f(One(), i);
}

void norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  const F32 d;
  const auto n_lanes = static_cast<int64_t>(hn::Lanes(d));
  auto squares = hn::Zero(d);
  int64_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) {
    const auto v = hn::LoadU(d, x + i);
    squares = hn::MulAdd(v, v, squares);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, squares));
  for (; i < n; ++i) sum += x[i] * x[i];
  const float factor = 1.0F / std::sqrt(sum / static_cast<float>(n) + eps);
  for_vectors(n, [&](auto tag, int64_t at) {
    const auto scaled = hn::Mul(hn::LoadU(tag, x + at), hn::Set(tag, factor));
    hn::StoreU(hn::Mul(scaled, hn::LoadU(tag, weight + at)), tag, out + at);
  });
}

// x / (1 + exp(-exponent)).
template <class D>
HWY_INLINE hn::Vec<D> times_sigmoid(D d, hn::Vec<D> x, hn::Vec<D> exponent) {
  // Below, exp(-exponent) nears its overflow: 0, but for x that is infinite or NaN, which the
  // product shows where Exp and Max hide it.
  const auto least = hn::Set(d, -80.0F);
  const auto e = hn::Exp(d, hn::Neg(hn::Max(exponent, least)));
  const auto sigmoid = hn::Div(hn::Set(d, 1.0F), hn::Add(hn::Set(d, 1.0F), e));
  return hn::Mul(x, hn::IfThenElseZero(hn::Gt(exponent, least), sigmoid));
}

void silu_times(const float* gate, const float* up, int64_t n, float* out) {
  for_vectors(n, [&](auto d, int64_t i) {
    const auto x = hn::LoadU(d, gate + i);
    hn::StoreU(hn::Mul(times_sigmoid(d, x, x), hn::LoadU(d, up + i)), d, out + i);
  });
}

void gelu_times(const float* gate, const float* up, int64_t n, float* out) {
  // (1 + tanh(z)) / 2 is the sigmoid of 2 z.
  constexpr float kTwiceSqrt2OverPi = 1.5957691216057308F;
  constexpr float kCubic = 0.044715F;
  for_vectors(n, [&](auto d, int64_t i) {
    const auto x = hn::LoadU(d, gate + i);
    const auto inner = hn::MulAdd(hn::Mul(hn::Set(d, kCubic), hn::Mul(x, x)), x, x);
    const auto z = hn::Mul(hn::Set(d, kTwiceSqrt2OverPi), inner);
    hn::StoreU(hn::Mul(times_sigmoid(d, x, z), hn::LoadU(d, up + i)), d, out + i);
  });
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(norm);
HWY_EXPORT(silu_times);
HWY_EXPORT(gelu_times);

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(norm)(x, weight, eps, n, out);
}

void swiglu(const float* gate, const float* up, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(silu_times)(gate, up, n, out);
}

void geglu(const float* gate, const float* up, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(gelu_times)(gate, up, n, out);
}

}  // namespace reprise
#endif  // HWY_ONCE
