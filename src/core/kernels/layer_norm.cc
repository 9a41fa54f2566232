#include "core/kernels/layer_norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/layer_norm.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include "core/kernels/layer_norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

void norm_rows(const LayerNorm& norm, const float* x, int64_t n_rows, float* out) {
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* row = x + r * norm.n;
    float* to = out + r * norm.n;
    const RowMoments moments = row_moments(row, norm.n, norm.eps);
    for_each_vector(norm.n, [&](auto d, int64_t i) {
      hn::StoreU(normed(d, norm, moments, row, i), d, to + i);
    });
  }
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(norm_rows);

}  // namespace

void layer_norm(const LayerNorm& norm, const float* x, int64_t n_rows, float* out) {
  HWY_DYNAMIC_DISPATCH(norm_rows)(norm, x, n_rows, out);
}

}  // namespace reprise
#endif  // HWY_ONCE
