#include "core/kernels/packed_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/packed_product.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "core/kernels/gelu-inl.h"
#include "core/kernels/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

constexpr int32_t kVecs = 2;
constexpr int32_t kTileWidth = kVecs * kLanes;
constexpr int32_t kTileRows = kRegisters == 32 ? 8 : 4;
constexpr int64_t kBlock = 32;   // inputs of a Q8_0 block
constexpr int64_t kDepth = 128;  // inputs that are turned into F32 at once: 16 KB
constexpr int64_t kWidth = kPackedWidth;
static_assert(kWidth % kTileWidth == 0);

// Weights of one panel: kVecs vectors of input k, from output `column` of the panel.
struct F32Panel {
  const float* values;
  HWY_INLINE void begin_block(int64_t /*k*/, int32_t /*column*/) {}
  HWY_INLINE hn::Vec<F32> load(int64_t k, int32_t column, int32_t v) const {
    return hn::Load(F32(), values + k * kWidth + column + v * kLanes);
  }
};

struct F16Panel {
  const hwy::float16_t* values;
  HWY_INLINE void begin_block(int64_t /*k*/, int32_t /*column*/) {}
  HWY_INLINE hn::Vec<F32> load(int64_t k, int32_t column, int32_t v) const {
    const hn::Rebind<hwy::float16_t, F32> half;
    return hn::PromoteTo(F32(), hn::LoadU(half, values + k * kWidth + column + v * kLanes));
  }
};

struct Q8Panel {
  const std::byte* blocks;
  static constexpr int64_t kBytes = kWidth * 2 + kWidth * kBlock;
  const int8_t* values = nullptr;  // of the block
  hn::Vec<F32> scale[kVecs];
  HWY_INLINE void begin_block(int64_t k, int32_t column) {
    const std::byte* block = blocks + k / kBlock * kBytes;
    const hn::Rebind<hwy::float16_t, F32> half;
    for (int32_t v = 0; v < kVecs; ++v) {
      scale[v] = hn::PromoteTo(
          F32(),
          hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(block) + column + v * kLanes));
    }
    values = reinterpret_cast<const int8_t*>(block + kWidth * 2);
  }
  HWY_INLINE hn::Vec<F32> load(int64_t k, int32_t column, int32_t v) const {
    const hn::Rebind<int8_t, F32> bytes;
    const hn::Rebind<int32_t, F32> ints;
    const auto q = hn::LoadU(bytes, values + k % kBlock * kWidth + column + v * kLanes);
    return hn::Mul(hn::ConvertTo(F32(), hn::PromoteTo(ints, q)), scale[v]);
  }
};

// kRows rows of x times kTileWidth outputs of a panel, from output `column`.
struct TileRows {
  const float* x;  // of the first row, input 0
  int64_t row;     // values from row to row
};

// Where a tile's sums begin and end: in several passes over parts of the inputs, y holds them in
// between.
struct TileSums {
  const float* bias;  // of the tile's first output, or null; used if it is the first pass
  bool is_first;      // pass
  float* y;
  int64_t y_row;
};

// What to ask memory for meanwhile: a model's weights lie in the order of their use and are too
// many for a second cache, and a pass over few rows would wait for them.
struct Ahead {
  const std::byte* at;  // null: nothing
  int64_t step;         // bytes for each input

  HWY_INLINE void fetch(int64_t k) const {
    if (at == nullptr) return;
    for (int64_t line = 0; line < step; line += 64) hwy::Prefetch(at + k * step + line);
  }
};

template <int32_t kRows, class Panel>
HWY_INLINE void tile(const TileRows& rows, Panel panel, int32_t column, int64_t n_in,
                     const TileSums& sums, const Ahead& ahead) {
  const F32 d;
  hn::Vec<F32> sum[kRows][kVecs];
  for (int32_t v = 0; v < kVecs; ++v) {
    const auto start = sums.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, sums.bias + v * kLanes);
    for (int32_t r = 0; r < kRows; ++r) {
      sum[r][v] = sums.is_first ? start : hn::LoadU(d, sums.y + r * sums.y_row + v * kLanes);
    }
  }
  for (int64_t first = 0; first < n_in; first += kBlock) {
    panel.begin_block(first, column);
    const int64_t end = HWY_MIN(first + kBlock, n_in);
    for (int64_t k = first; k < end; ++k) {
      hn::Vec<F32> w[kVecs];
      for (int32_t v = 0; v < kVecs; ++v) w[v] = panel.load(k, column, v);
      ahead.fetch(k);
      for (int32_t r = 0; r < kRows; ++r) {
        const auto value = hn::Set(d, rows.x[r * rows.row + k]);
        for (int32_t v = 0; v < kVecs; ++v) sum[r][v] = hn::MulAdd(value, w[v], sum[r][v]);
      }
    }
  }
  for (int32_t r = 0; r < kRows; ++r) {
    for (int32_t v = 0; v < kVecs; ++v)
      hn::StoreU(sum[r][v], d, sums.y + r * sums.y_row + v * kLanes);
  }
}

// n_columns values of each row, still in the first cache. In a loop of its own, for the tile's sums
// leave no registers for its constants.
HWY_INLINE void gelu_columns(float* y, int64_t y_row, int64_t n_rows, int64_t n_columns) {
  const F32 d;
  const hn::CappedTag<float, 1> one;
  for (int64_t r = 0; r < n_rows; ++r) {
    float* row = y + r * y_row;
    int64_t i = 0;
    for (; i + kLanes <= n_columns; i += kLanes)
      hn::StoreU(gelu_vector(d, hn::LoadU(d, row + i)), d, row + i);
    for (; i < n_columns; ++i) hn::StoreU(gelu_vector(one, hn::LoadU(one, row + i)), one, row + i);
  }
}

// Inputs [k, k + n_in) of a panel, which begins at k and whose first output is first_out.
struct PanelPart {
  int64_t first_out;
  int64_t k;
  int64_t n_in;
  Ahead ahead;  // for the first tile
};

template <class Panel>
HWY_INLINE void panel_product(const PackedProduct& p, Panel panel, const PanelPart& part) {
  const bool is_first = part.k == 0;
  const bool is_last = part.k + part.n_in == p.w.n_in;
  for (int32_t column = 0; column < kWidth && part.first_out + column < p.w.n_out;
       column += kTileWidth) {
    const int64_t out = part.first_out + column;
    const int64_t n_columns = std::min<int64_t>(kTileWidth, p.w.n_out - out);
    const bool is_whole = n_columns == kTileWidth;
    float last_bias[kTileWidth] = {};
    const float* bias = p.bias == nullptr ? nullptr : p.bias + out;
    if (!is_whole && bias != nullptr) {
      std::copy_n(bias, n_columns, last_bias);
      bias = last_bias;
    }
    int64_t r = 0;
    for (; is_whole && r + kTileRows <= p.n_rows; r += kTileRows) {
      const bool is_first_tile = column == 0 && r == 0;
      tile<kTileRows>({p.x + r * p.x_row + part.k, p.x_row}, panel, column, part.n_in,
                      {bias, is_first, p.y + r * p.y_row + out, p.y_row},
                      is_first_tile ? part.ahead : Ahead{nullptr, 0});
    }
    for (; r < p.n_rows; ++r) {
      const TileRows row{p.x + r * p.x_row + part.k, p.x_row};
      float* y = p.y + r * p.y_row + out;
      if (is_whole) {
        tile<1>(row, panel, column, part.n_in, {bias, is_first, y, p.y_row}, {nullptr, 0});
      } else {
        float last[kTileWidth] = {};
        std::copy_n(y, is_first ? 0 : n_columns, last);
        tile<1>(row, panel, column, part.n_in, {bias, is_first, last, kTileWidth}, {nullptr, 0});
        std::copy_n(last, n_columns, y);
      }
    }
    if (is_last && p.result == PackedResult::kGelu)
      gelu_columns(p.y + out, p.y_row, p.n_rows, n_columns);
  }
}

// A panel as it is held, for as many rows as one tile has; more rows would convert it more than
// once, so that a part of it is turned into F32 first, in a core's first cache.
template <class Panel>
void converted_product(const PackedProduct& p, Panel panel, int64_t first_out, const Ahead& ahead) {
  if (p.n_rows <= kTileRows) return panel_product(p, panel, {first_out, 0, p.w.n_in, ahead});
  const F32 d;
  HWY_ALIGN float values[kDepth * kWidth];
  for (int64_t first = 0; first < p.w.n_in; first += kDepth) {
    const int64_t end = std::min(first + kDepth, p.w.n_in);
    for (int64_t block = first; block < end; block += kBlock) {
      for (int32_t column = 0; column < kWidth; column += kTileWidth) {
        panel.begin_block(block, column);
        for (int64_t k = block; k < std::min(block + kBlock, end); ++k) {
          for (int32_t v = 0; v < kVecs; ++v) {
            hn::Store(panel.load(k, column, v), d,
                      values + (k - first) * kWidth + column + v * kLanes);
          }
        }
      }
    }
    panel_product(p, F32Panel{values},
                  {first_out, first, end - first, {ahead.at + first * ahead.step, ahead.step}});
  }
}

void product(const PackedProduct& p) {
  const size_t panel_bytes = packed_bytes(p.w.type, p.w.n_in, kWidth);
  for (int64_t i = 0; i < p.w.n_panels(); ++i) {
    const std::byte* panel = p.w.panels + panel_bytes * i;
    // Parts of kDepth inputs follow each other, and panels and matrices do.
    const auto step = static_cast<int64_t>(panel_bytes) / p.w.n_in;
    const Ahead ahead{panel + kDepth * step, step};
    const int64_t out = i * kWidth;
    switch (p.w.type) {
      case GGML_TYPE_F16:
        converted_product(p, F16Panel{reinterpret_cast<const hwy::float16_t*>(panel)}, out, ahead);
        break;
      case GGML_TYPE_Q8_0:
        // Half as many bytes: they stay in a second cache, and asking for them only takes time.
        converted_product(p, Q8Panel{panel, nullptr, {}}, out, {panel, 0});
        break;
      default:
        panel_product(p, F32Panel{reinterpret_cast<const float*>(panel)},
                      {out, 0, p.w.n_in, ahead});
    }
  }
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(product);

constexpr int64_t kQ8Block = 32;
constexpr size_t kQ8RowBytes = 2 + kQ8Block;  // ggml's block: the scale, F16, then its integers

void pack_q8(int64_t n_in, int64_t n_out, const std::byte* rows, std::byte* panel) {
  const size_t n_row_bytes = ggml_row_size(GGML_TYPE_Q8_0, n_in);
  for (int64_t block = 0; block < n_in / kQ8Block; ++block) {
    std::byte* scales = panel + block * kPackedWidth * kQ8RowBytes;
    std::byte* values = scales + kPackedWidth * 2;
    for (int64_t out = 0; out < n_out; ++out) {
      const std::byte* from = rows + n_row_bytes * out + block * kQ8RowBytes;
      std::memcpy(scales + 2 * out, from, 2);
      for (int64_t k = 0; k < kQ8Block; ++k) values[k * kPackedWidth + out] = from[2 + k];
    }
  }
}

}  // namespace

size_t packed_bytes(ggml_type type, int64_t n_in, int64_t n_out) {
  return (n_out + kPackedWidth - 1) / kPackedWidth * kPackedWidth * ggml_row_size(type, n_in);
}

void pack_weights(ggml_type type, int64_t n_in, int64_t n_out, const std::byte* rows,
                  std::byte* panels) {
  std::memset(panels, 0, packed_bytes(type, n_in, n_out));
  const size_t panel_bytes = packed_bytes(type, n_in, kPackedWidth);
  const size_t n_row_bytes = ggml_row_size(type, n_in);
  for (int64_t first = 0; first < n_out; first += kPackedWidth) {
    const int64_t n = std::min(kPackedWidth, n_out - first);
    std::byte* panel = panels + panel_bytes * (first / kPackedWidth);
    const std::byte* from = rows + n_row_bytes * first;
    if (type == GGML_TYPE_Q8_0) {
      pack_q8(n_in, n, from, panel);
      continue;
    }
    const size_t size = ggml_type_size(type);
    for (int64_t out = 0; out < n; ++out) {
      for (int64_t k = 0; k < n_in; ++k) {
        std::memcpy(panel + size * (k * kPackedWidth + out), from + n_row_bytes * out + size * k,
                    size);
      }
    }
  }
}

void packed_product(const PackedProduct& product) { HWY_DYNAMIC_DISPATCH(product)(product); }

}  // namespace reprise
#endif  // HWY_ONCE
