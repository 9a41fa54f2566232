#include "core/kernels/action_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/action_rows.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include "core/kernels/layer_norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

// Values i of the embedding of action x as row r.
template <class D>
HWY_INLINE hn::Vec<D> embedded(D d, const ActionRows& rows, const float* x, int64_t r, int64_t i) {
  const int64_t n = rows.norm.n;
  auto h = hn::LoadU(d, rows.start + r % rows.n_horizon * n + i);
  for (int64_t a = 0; a < rows.n_action; ++a)
    h = hn::MulAdd(hn::Set(d, x[a]), hn::LoadU(d, rows.input + a * n + i), h);
  return h;
}

void embed(const ActionRows& rows, const float* x, int64_t n_rows, float* h) {
  const int64_t n = rows.norm.n;
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* action = x + r * rows.n_action;
    for_each_vector(n, [&](auto d, int64_t i) {
      hn::StoreU(embedded(d, rows, action, r, i), d, h + r * n + i);
    });
  }
}

void predict_row(const ActionRows& rows, const float* h, float* y) {
  const RowMoments moments = row_moments(h, rows.norm.n, rows.norm.eps);
  for (int64_t a = 0; a < rows.n_action; ++a) {
    const float* head = rows.head + a * rows.norm.n;
    y[a] = rows.head_bias[a] + sum_over(rows.norm.n, [&](auto d, int64_t i) {
             return hn::Mul(normed(d, rows.norm, moments, h, i), hn::LoadU(d, head + i));
           });
  }
}

void predict(const ActionRows& rows, const float* h, int64_t n_rows, float* y) {
  for (int64_t r = 0; r < n_rows; ++r)
    predict_row(rows, h + r * rows.norm.n, y + r * rows.n_action);
}

void reuse(const ActionRows& rows, const float* x, const float* sum, int64_t n_rows, float* y,
           float* scratch) {
  const int64_t n = rows.norm.n;
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* action = x + r * rows.n_action;
    for_each_vector(n, [&](auto d, int64_t i) {
      const auto h = embedded(d, rows, action, r, i);
      hn::StoreU(hn::Add(h, hn::LoadU(d, sum + r * n + i)), d, scratch + i);
    });
    predict_row(rows, scratch, y + r * rows.n_action);
  }
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(embed);
HWY_EXPORT(predict);
HWY_EXPORT(reuse);

}  // namespace

void embed_action_rows(const ActionRows& rows, const float* x, int64_t n_rows, float* h) {
  HWY_DYNAMIC_DISPATCH(embed)(rows, x, n_rows, h);
}

void predict_action_rows(const ActionRows& rows, const float* h, int64_t n_rows, float* y) {
  HWY_DYNAMIC_DISPATCH(predict)(rows, h, n_rows, y);
}

void reuse_action_rows(const ActionRows& rows, const float* x, const float* sum, int64_t n_rows,
                       float* y, float* scratch) {
  HWY_DYNAMIC_DISPATCH(reuse)(rows, x, sum, n_rows, y, scratch);
}

}  // namespace reprise
#endif  // HWY_ONCE
