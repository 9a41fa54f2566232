// Attention logits of a tile of entries for many query rows, compiled once per SIMD target.
#if defined(REPRISE_LOGIT_TILE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_LOGIT_TILE_INL
#undef REPRISE_LOGIT_TILE_INL
#else
#define REPRISE_LOGIT_TILE_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "core/kernels/rows-inl.h"
#include "core/kernels/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

inline constexpr int32_t kTile = 64;                             // entries
inline constexpr int32_t kQueryVecs = 3;                         // of a product in registers
inline constexpr int32_t kEntryRows = kRegisters == 32 ? 8 : 4;  // likewise
inline constexpr int32_t kQueryColumns = kQueryVecs * kLanes;

// Rows first .. first + n - 1 of a KV head as F32, `to_row` values apart, zeros behind each. Any
// head size.
template <class Rows>
HWY_INLINE void load_rows(const std::byte* rows, size_t row_bytes, int32_t n, int32_t n_embd_head,
                          float* HWY_RESTRICT to, int32_t to_row) {
  const F32 d;
  const hn::CappedTag<float, 1> one;
  for (int32_t i = 0; i < n; ++i, rows += row_bytes, to += to_row) {
    int32_t x = 0;
    for (; x + kLanes <= n_embd_head; x += kLanes) hn::StoreU(Rows::load(d, rows, x), d, to + x);
    for (; x < n_embd_head; ++x) hn::StoreU(Rows::load(one, rows, x), one, to + x);
    for (; x < to_row; ++x) to[x] = 0;
  }
}

// The tile's rows for a cache type.
inline void load_rows_of(ggml_type type, const std::byte* rows, size_t row_bytes, int32_t n,
                         int32_t n_embd_head, float* to, int32_t to_row) {
  switch (type) {
    case GGML_TYPE_F32:
      return load_rows<F32Rows>(rows, row_bytes, n, n_embd_head, to, to_row);
    case GGML_TYPE_Q8_0:
      return load_rows<Q8Rows>(rows, row_bytes, n, n_embd_head, to, to_row);
    case GGML_TYPE_Q4_0:
      return load_rows<Q4Rows>(rows, row_bytes, n, n_embd_head, to, to_row);
    default:
      return load_rows<F16Rows>(rows, row_bytes, n, n_embd_head, to, to_row);
  }
}

// logits[n entries][n_columns] = keys [n, n_embd_head] times queries [n_embd_head, n_columns],
// n_columns a multiple of kQueryColumns.
HWY_INLINE void tile_logits(const float* keys, int32_t n, const float* queries, int32_t n_columns,
                            int32_t n_embd_head, float* logits) {
  for (int32_t c = 0; c < n_columns; c += kQueryColumns) {
    column_product<kEntryRows, kQueryVecs>({keys, n_embd_head, 1}, n, queries + c, n_columns,
                                           n_embd_head, logits + c, n_columns, TileInto::kZero);
  }
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_LOGIT_TILE_INL
