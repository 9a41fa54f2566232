#include "core/kernels/panel_matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/panel_matmul.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "core/kernels/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr int32_t kVecs = 3;
constexpr int32_t kTokens = kRegisters == 32 ? 8 : 4;  // of a product in registers
constexpr int32_t kWidth = kVecs * kLanes;             // rows of W in a panel
// Columns of W at a time, a multiple of every type's block: a panel of them fits a second cache.
constexpr int64_t kDepth = 768;
constexpr int32_t kPackRows = 4;

// Rows [row, row + kPackRows) and columns [first, first + n) of W into columns of the panel.
void pack_rows(const PanelMatmul& m, int64_t row, int64_t first, int64_t n,
               float* HWY_RESTRICT rows, float* HWY_RESTRICT panel) {
  const ggml_type_traits* traits = ggml_get_type_traits(m.type);
  for (int32_t r = 0; r < kPackRows; ++r) {
    float* to = rows + r * kDepth;
    if (row + r >= m.n_out) {
      std::fill_n(to, n, 0.0F);
      continue;
    }
    const std::byte* from = m.w + m.row_bytes * (row + r) + ggml_row_size(m.type, first);
    if (m.type == GGML_TYPE_F32) {
      std::memcpy(to, from, sizeof(float) * n);
    } else {
      traits->to_float(from, to, n);
    }
  }
  int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::Full128<float> d;
  const hn::RepartitionToWide<decltype(d)> pairs;
  for (; k + 4 <= n; k += 4) {
    const auto a = hn::LoadU(d, rows + k);
    const auto b = hn::LoadU(d, rows + kDepth + k);
    const auto c = hn::LoadU(d, rows + 2 * kDepth + k);
    const auto e = hn::LoadU(d, rows + 3 * kDepth + k);
    const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
    const auto ce_low = hn::BitCast(pairs, hn::InterleaveLower(d, c, e));
    const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
    const auto ce_high = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
    float* to = panel + k * kWidth;
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ce_low)), d, to);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ce_low)), d, to + kWidth);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ce_high)), d, to + 2 * kWidth);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ce_high)), d, to + 3 * kWidth);
  }
#endif
  for (; k < n; ++k) {
    for (int32_t r = 0; r < kPackRows; ++r) panel[k * kWidth + r] = rows[r * kDepth + k];
  }
}

// The last columns of y, fewer than a panel has.
void last_columns(const TileA& x, int64_t n_tokens, const float* panel, int32_t n_k, float* y,
                  int64_t n_out, int32_t n_columns, TileInto into) {
  float row[kWidth];
  for (int64_t t = 0; t < n_tokens; ++t) {
    std::copy_n(y + t * n_out, n_columns, row);
    tile_product<1, kVecs>({x.a + t * x.row, x.row, x.step}, panel, kWidth, n_k, row, kWidth, into);
    std::copy_n(row, n_columns, y + t * n_out);
  }
}

void part(const PanelMatmul& m, int64_t i_part, float* scratch) {
  const int64_t row = i_part * kWidth;
  const auto n_columns = static_cast<int32_t>(std::min<int64_t>(kWidth, m.n_out - row));
  float* panel = scratch;
  float* rows = scratch + kDepth * kWidth;
  for (int64_t first = 0; first < m.n_in; first += kDepth) {
    const auto n_k = static_cast<int32_t>(std::min(kDepth, m.n_in - first));
    for (int32_t r = 0; r < kWidth; r += kPackRows)
      pack_rows(m, row + r, first, n_k, rows, panel + r);
    const TileA x{m.x + first, m.n_in, 1};
    const TileInto into = first == 0 ? TileInto::kZero : TileInto::kSum;
    if (n_columns == kWidth) {
      column_product<kTokens, kVecs>(x, static_cast<int32_t>(m.n_tokens), panel, kWidth, n_k,
                                     m.y + row, m.n_out, into);
    } else {
      last_columns(x, m.n_tokens, panel, n_k, m.y + row, m.n_out, n_columns, into);
    }
  }
}

int64_t width() { return kWidth; }
int64_t scratch_size() { return kDepth * (kWidth + kPackRows); }

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(part);
HWY_EXPORT(width);
HWY_EXPORT(scratch_size);

}  // namespace

bool has_panel_matmul(ggml_type type) {
  return type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float != nullptr;
}

int64_t panel_matmul_parts(int64_t n_out) {
  const int64_t n = HWY_DYNAMIC_DISPATCH(width)();
  return (n_out + n - 1) / n;
}

int64_t panel_matmul_scratch() { return HWY_DYNAMIC_DISPATCH(scratch_size)(); }

void panel_matmul_part(const PanelMatmul& m, int64_t i_part, float* scratch) {
  HWY_DYNAMIC_DISPATCH(part)(m, i_part, scratch);
}

}  // namespace reprise
#endif  // HWY_ONCE
