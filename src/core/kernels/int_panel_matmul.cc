#include "core/kernels/int_panel_matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/int_panel_matmul.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/kernels/int_panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

// The 127-th part of a smaller magnitude cannot be inverted: such blocks become zeros.
constexpr float kLeastMagnitude = 0x1p-120F;

void round_blocks(const float* x, int64_t n, RoundedBlock* rounded) {
  const F32 d;
  const hn::RebindToSigned<F32> ints;
  const hn::Rebind<int8_t, F32> bytes;
  for (int64_t i = 0; i < n; i += kBlock) {
    // Magnitudes are in the order of their bits, infinity and NaN last: no maximum can hide them.
    auto most = hn::Zero(ints);
    for (int32_t k = 0; k < kBlock; k += kLanes)
      most = hn::Max(most, hn::BitCast(ints, hn::Abs(hn::LoadU(d, x + i + k))));
    const auto magnitude = std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(ints, most)));
    const auto inverse = hn::Set(d, magnitude >= kLeastMagnitude ? 127.0F / magnitude : 0.0F);
    RoundedBlock& to = rounded[i / kBlock];
    auto sum = hn::Zero(ints);
    for (int32_t k = 0; k < kBlock; k += kLanes) {
      const auto q = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i + k), inverse));
      sum = hn::Add(sum, q);
      hn::StoreU(hn::DemoteTo(bytes, q), bytes, to.q.data() + k);
    }
    to.scale = magnitude / 127.0F + 0.0F * magnitude;  // NaN if the magnitude is not finite
    // No integer stands for NaN or infinity: what came instead would overflow when it is used.
    to.q_sum = std::isfinite(magnitude) ? hn::GetLane(hn::SumOfLanes(ints, sum)) : 0;
    to.sum = to.scale * static_cast<float>(to.q_sum);
  }
}

#if HWY_TARGET == HWY_SCALAR

template <class Blocks>
void part_of_type(const IntPanelMatmul& m, int64_t i_part, std::byte* /*scratch*/) {
  const int64_t n_blocks = m.n_in / kBlock;
  const std::byte* row = m.w + m.row_bytes * i_part;
  for (int64_t t = 0; t < m.n_tokens; ++t) {
    float sum = 0;
    for (int64_t b = 0; b < n_blocks; ++b) {
      const UnpackedBlock w = unpack_block<Blocks>(row, b);
      const RoundedBlock& x = m.x[t * n_blocks + b];
      int32_t dot = 0;
      for (int32_t i = 0; i < kBlock; ++i) dot += w.q[i] * x.q[i];
      sum += static_cast<float>(dot) * w.scale * x.scale;
      if (Blocks::kMinAt != 0) sum += w.min * x.sum;
    }
    m.y[t * m.n_out + i_part] = sum;
  }
}

int64_t panel_rows() { return 1; }
size_t scratch_bytes() { return sizeof(float); }

#else

constexpr int32_t kTokens = kRegisters == 32 ? 4 : 1;  // of a product in registers
// Blocks of W at a time, a multiple of every type's kBlocks: a panel of them fits a first cache.
constexpr int64_t kDepth = 16;
constexpr size_t kMostBlockBytes = Q80Blocks::kBytes;

struct Panel {
  const std::byte* w;
  int64_t n_blocks;
  const RoundedBlock* x;  // [n_blocks of a token, n_tokens], x_row apart
  int64_t x_row;
};

// y[kPanelRows, n] (+)= the panel times x of n tokens.
template <class Blocks, int32_t n>
HWY_INLINE void tokens_product(const Panel& p, const RoundedBlock* x, float* y, int64_t y_row,
                               TileInto into) {
  const F32 d;
  const I32 ints;
  const I8 bytes;
  hn::Vec<F32> sum[n][kVecs];
  for (int32_t t = 0; t < n; ++t) {
    for (int32_t v = 0; v < kVecs; ++v) {
      sum[t][v] = into == TileInto::kZero ? hn::Zero(d) : hn::LoadU(d, y + t * y_row + v * kLanes);
    }
  }
  constexpr int32_t kOffset = Blocks::kIsSigned ? kDotBias : Blocks::kZero;
  const std::byte* w = p.w;
  for (int64_t b = 0; b < p.n_blocks; ++b) {
    hn::Vec<I32> dot[n][kVecs];
    for (int32_t t = 0; t < n; ++t) {
      // Takes off what the weights have too much.
      const auto start = hn::Set(ints, -kOffset * x[t * p.x_row + b].q_sum);
      for (int32_t v = 0; v < kVecs; ++v) dot[t][v] = start;
    }
    const std::byte* group = w + kScaleBytes<Blocks>;
    for (int32_t g = 0; g < kGroups; ++g, group += kGroupBytes) {
      hn::Vec<I8> q[kVecs];
      for (int32_t v = 0; v < kVecs; ++v)
        q[v] = hn::LoadU(bytes, reinterpret_cast<const int8_t*>(group + v * kVecBytes));
      for (int32_t t = 0; t < n; ++t) {
        int32_t four = 0;
        std::memcpy(&four, x[t * p.x_row + b].q.data() + 4 * g, sizeof(four));
        const auto value = hn::BitCast(bytes, hn::Set(ints, four));
        for (int32_t v = 0; v < kVecs; ++v) {
          dot[t][v] =
              Blocks::kIsSigned ? dot4(dot[t][v], q[v], value) : dot4_u7(dot[t][v], q[v], value);
        }
      }
    }
    const auto* scales = reinterpret_cast<const float*>(w);
    for (int32_t v = 0; v < kVecs; ++v) {
      const auto scale = hn::LoadU(d, scales + v * kLanes);
      for (int32_t t = 0; t < n; ++t) {
        const auto both = hn::Mul(scale, hn::Set(d, x[t * p.x_row + b].scale));
        sum[t][v] = hn::MulAdd(hn::ConvertTo(d, dot[t][v]), both, sum[t][v]);
      }
      if constexpr (Blocks::kMinAt != 0) {
        const auto min = hn::LoadU(d, scales + kPanelRows + v * kLanes);
        for (int32_t t = 0; t < n; ++t)
          sum[t][v] = hn::MulAdd(min, hn::Set(d, x[t * p.x_row + b].sum), sum[t][v]);
      }
    }
    w += kPanelBlockBytes<Blocks>;
  }
  for (int32_t t = 0; t < n; ++t) {
    for (int32_t v = 0; v < kVecs; ++v) hn::StoreU(sum[t][v], d, y + t * y_row + v * kLanes);
  }
}

// The same for the last rows of W, fewer than a panel has: the others are computed, not written.
template <class Blocks, int32_t n>
void last_rows_product(const Panel& p, const RoundedBlock* x, int32_t n_rows, float* y,
                       int64_t y_row, TileInto into) {
  float tile[n * kPanelRows] = {};
  for (int32_t t = 0; t < n; ++t) std::copy_n(y + t * y_row, n_rows, tile + t * kPanelRows);
  tokens_product<Blocks, n>(p, x, tile, kPanelRows, into);
  for (int32_t t = 0; t < n; ++t) std::copy_n(tile + t * kPanelRows, n_rows, y + t * y_row);
}

template <class Blocks, int32_t n>
HWY_INLINE void product(const Panel& p, int64_t first, int64_t end, int32_t n_rows, float* y,
                        int64_t y_row, TileInto into) {
  for (; first + n <= end; first += n) {
    if (n_rows == kPanelRows) {
      tokens_product<Blocks, n>(p, p.x + first * p.x_row, y + first * y_row, y_row, into);
    } else {
      last_rows_product<Blocks, n>(p, p.x + first * p.x_row, n_rows, y + first * y_row, y_row,
                                   into);
    }
  }
  if constexpr (n > 1) product<Blocks, n / 2>(p, first, end, n_rows, y, y_row, into);
}

template <class Blocks>
void part_of_type(const IntPanelMatmul& m, int64_t i_part, std::byte* scratch) {
  const int64_t row = i_part * kPanelRows;
  const auto n_rows = static_cast<int32_t>(std::min<int64_t>(kPanelRows, m.n_out - row));
  const int64_t n_blocks = m.n_in / kBlock;
  const int64_t n_pieces = (n_blocks + kDepth - 1) / kDepth;
  const int64_t depth = (n_blocks / Blocks::kBlocks + n_pieces - 1) / n_pieces * Blocks::kBlocks;
  std::byte* rows = scratch + kDepth * kPanelBlockBytes<Q41Blocks>;
  for (int64_t first = 0; first < n_blocks; first += depth) {
    const int64_t n = std::min(depth, n_blocks - first);
    const std::byte* from = m.w + m.row_bytes * row + Blocks::kBytes * (first / Blocks::kBlocks);
    size_t row_bytes = m.row_bytes;
    if (n_rows < kPanelRows) {  // rows behind the last: blocks of zero bytes are zeros
      row_bytes = Blocks::kBytes * (n / Blocks::kBlocks);
      std::memset(rows, 0, row_bytes * kPanelRows);
      for (int32_t r = 0; r < n_rows; ++r)
        std::memcpy(rows + row_bytes * r, from + m.row_bytes * r, row_bytes);
      from = rows;
    }
    for (int32_t v = 0; v < kVecs; ++v)
      pack_rows<Blocks>(from + row_bytes * kLanes * v, row_bytes, n, v, scratch);
    const Panel panel{scratch, n, m.x + first, n_blocks};
    product<Blocks, kTokens>(panel, 0, m.n_tokens, n_rows, m.y + row, m.n_out,
                             first == 0 ? TileInto::kZero : TileInto::kSum);
  }
}

int64_t panel_rows() { return kPanelRows; }
size_t scratch_bytes() {
  return kDepth * (kPanelBlockBytes<Q41Blocks> + kPanelRows * kMostBlockBytes);
}

#endif  // HWY_TARGET == HWY_SCALAR

void part(const IntPanelMatmul& m, int64_t i_part, float* scratch) {
  auto* bytes = reinterpret_cast<std::byte*>(scratch);
  switch (m.type) {
    case GGML_TYPE_Q4_0:
      return part_of_type<Q40Blocks>(m, i_part, bytes);
    case GGML_TYPE_Q4_1:
      return part_of_type<Q41Blocks>(m, i_part, bytes);
    case GGML_TYPE_Q5_0:
      return part_of_type<Q50Blocks>(m, i_part, bytes);
    case GGML_TYPE_Q5_1:
      return part_of_type<Q51Blocks>(m, i_part, bytes);
    case GGML_TYPE_IQ4_NL:
      return part_of_type<Iq4NlBlocks>(m, i_part, bytes);
    case GGML_TYPE_Q4_K:
      return part_of_type<Q4KBlocks>(m, i_part, bytes);
    case GGML_TYPE_Q5_K:
      return part_of_type<Q5KBlocks>(m, i_part, bytes);
    default:
      return part_of_type<Q80Blocks>(m, i_part, bytes);
  }
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(round_blocks);
HWY_EXPORT(part);
HWY_EXPORT(panel_rows);
HWY_EXPORT(scratch_bytes);

}  // namespace

bool has_int_panel_matmul(ggml_type type) {
  switch (type) {
    case GGML_TYPE_Q4_0:
    case GGML_TYPE_Q4_1:
    case GGML_TYPE_Q5_0:
    case GGML_TYPE_Q5_1:
    case GGML_TYPE_Q8_0:
    case GGML_TYPE_IQ4_NL:
    case GGML_TYPE_Q4_K:
    case GGML_TYPE_Q5_K:
      return true;
    default:
      return false;
  }
}

int64_t int_panel_matmul_parts(int64_t n_out) {
  const int64_t n = HWY_DYNAMIC_DISPATCH(panel_rows)();
  return (n_out + n - 1) / n;
}

int64_t int_panel_matmul_scratch() {
  return static_cast<int64_t>(HWY_DYNAMIC_DISPATCH(scratch_bytes)() / sizeof(float)) + 1;
}

void round_activations(const float* x, int64_t n, RoundedBlock* rounded) {
  HWY_DYNAMIC_DISPATCH(round_blocks)(x, n, rounded);
}

void int_panel_matmul_part(const IntPanelMatmul& m, int64_t i_part, float* scratch) {
  HWY_DYNAMIC_DISPATCH(part)(m, i_part, scratch);
}

}  // namespace reprise
#endif  // HWY_ONCE
