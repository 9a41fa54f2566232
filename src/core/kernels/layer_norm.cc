#include "core/kernels/layer_norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/layer_norm.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <algorithm>

#include "core/kernels/layer_norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

void norm_rows(const LayerNorm& norm, const float* x, int64_t n_rows, float* out) {
  // The moments of some rows first: each is a chain of dependent steps, and chains of several rows
  // run beside each other.
  constexpr int64_t kTogether = 8;
  RowMoments moments[kTogether];
  for (int64_t first = 0; first < n_rows; first += kTogether) {
    const int64_t n = std::min(kTogether, n_rows - first);
    for (int64_t r = 0; r < n; ++r)
      moments[r] = row_moments(x + (first + r) * norm.n, norm.n, norm.eps);
    for (int64_t r = 0; r < n; ++r) {
      const float* row = x + (first + r) * norm.n;
      float* to = out + (first + r) * norm.n;
      for_each_vector(norm.n, [&](auto d, int64_t i) {
        hn::StoreU(normed(d, norm, moments[r], row, i), d, to + i);
      });
    }
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
