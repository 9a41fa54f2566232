#include "core/kernels/gelu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/gelu.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include "core/kernels/gelu-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

void gelu_values(const float* x, int64_t n, float* y) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto n_lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) hn::StoreU(gelu_vector(d, hn::LoadU(d, x + i)), d, y + i);
  for (; i < n; ++i) hn::StoreU(gelu_vector(one, hn::LoadU(one, x + i)), one, y + i);
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(gelu_values);

}  // namespace

void gelu(const float* x, int64_t n, float* y) { HWY_DYNAMIC_DISPATCH(gelu_values)(x, n, y); }

}  // namespace reprise
#endif  // HWY_ONCE
