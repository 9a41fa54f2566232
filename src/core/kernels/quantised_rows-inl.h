// Decode attention over rows of Q8_0 and Q4_0: logits in integers, values without a copy in F32.
// Compiled once per SIMD target.
#if defined(REPRISE_QUANTISED_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_QUANTISED_ROWS_INL
#undef REPRISE_QUANTISED_ROWS_INL
#else
#define REPRISE_QUANTISED_ROWS_INL
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/kernels/int_dot-inl.h"
#include "core/kernels/rows-inl.h"
#include "core/kernels/tile_product-inl.h"

// The scalar target has no integer dot products: it reads these rows as F32.
#if HWY_TARGET != HWY_SCALAR

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

inline constexpr int32_t kBlockValues = 32;  // behind one scale

// 32 values of a query head, rounded to scale * x with x in -127..127.
struct RoundedBlock {
  float scale;                   // NaN where a value is not finite
  int32_t start;                 // of a dot product: takes off what Block::kOffset adds to it
  int32_t x4[kBlockValues / 4];  // four neighbours each
};

// Rounds 32 values as ggml rounds a query for such keys, to the nearest of 255 steps.
HWY_INLINE RoundedBlock round_block(const float* HWY_RESTRICT values, int32_t offset) {
  constexpr float kMostSteps = 127;
  constexpr float kSmallest = 0x1p-120F;  // below it 127 / max has no F32: as good as 0
  const F32 d;
  const hn::Rebind<int8_t, F32> bytes;
  auto maxima = hn::Zero(d);
  auto poisons = hn::Zero(d);  // NaN where a value is NaN or infinite: the maximum would hide it
  for (int32_t i = 0; i < kBlockValues; i += kLanes) {
    const auto x = hn::LoadU(d, values + i);
    maxima = hn::Max(maxima, hn::Abs(x));
    poisons = hn::MulAdd(x, hn::Zero(d), poisons);
  }
  const float max = hn::GetLane(hn::MaxOfLanes(d, maxima));
  const float steps = max > kSmallest ? kMostSteps / max : 0.0F;
  RoundedBlock block;
  block.scale = max / kMostSteps + hn::GetLane(hn::SumOfLanes(d, poisons));
  auto sums = hn::Zero(I32());
  int8_t rounded[kBlockValues];
  for (int32_t i = 0; i < kBlockValues; i += kLanes) {
    auto x = hn::NearestInt(hn::Mul(hn::LoadU(d, values + i), hn::Set(d, steps)));
    x = hn::Max(hn::Min(x, hn::Set(I32(), 127)), hn::Set(I32(), -127));  // a NaN too
    sums = hn::Add(sums, x);
    hn::StoreU(hn::DemoteTo(bytes, x), bytes, rounded + i);
  }
  block.start = -offset * hn::GetLane(hn::SumOfLanes(I32(), sums));
  std::memcpy(block.x4, rounded, sizeof(rounded));
  return block;
}

// The same place in the rows of as many entries as a vector has lanes; where there are fewer (the
// last tile), the last stands for those missing.
template <bool kIsWhole>
struct TileRows {
  const std::byte* first;
  size_t row_bytes;
  int32_t n;

  HWY_INLINE const std::byte* at(int32_t i) const {
    return first + row_bytes * static_cast<size_t>(kIsWhole ? i : std::min(i, n - 1));
  }
  HWY_INLINE hn::Vec<I32> offsets() const {
    const I32 ints;
    auto i = hn::Iota(ints, 0);
    if constexpr (!kIsWhole) i = hn::Min(i, hn::Set(ints, n - 1));
    return hn::Mul(i, hn::Set(ints, static_cast<int32_t>(row_bytes)));
  }
  HWY_INLINE TileRows plus(size_t n_bytes) const { return {first + n_bytes, row_bytes, n}; }
};

// 16 bytes of every row: vector i gets bytes 4 i to 4 i + 3, row n in lane n.
template <class Tile>
HWY_INLINE void load_transposed(const Tile& rows, hn::Vec<I8>* HWY_RESTRICT to) {
  const I8 bytes;
  const I32 ints;
  const hn::RepartitionToWide<I32> pairs;
  const hn::CappedTag<int8_t, 16> part;
  const auto load = [&](int32_t i) {
    return hn::LoadU(part, reinterpret_cast<const int8_t*>(rows.at(i)));
  };
  hn::Vec<I32> in[4];  // rows i, i + 4 and so on, one a 128-bit block
  for (int32_t i = 0; i < 4; ++i) {
    if constexpr (kLanes == 16) {
      const hn::Half<I8> half;
      in[i] = hn::BitCast(ints, hn::Combine(bytes, hn::Combine(half, load(i + 12), load(i + 8)),
                                            hn::Combine(half, load(i + 4), load(i))));
    } else if constexpr (kLanes == 8) {
      in[i] = hn::BitCast(ints, hn::Combine(bytes, load(i + 4), load(i)));
    } else {
      in[i] = hn::BitCast(ints, load(i));
    }
  }
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(ints, in[0], in[1]));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(ints, in[2], in[3]));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(ints, in[0], in[1]));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(ints, in[2], in[3]));
  to[0] = hn::BitCast(bytes, hn::InterleaveLower(pairs, low01, low23));
  to[1] = hn::BitCast(bytes, hn::InterleaveUpper(pairs, low01, low23));
  to[2] = hn::BitCast(bytes, hn::InterleaveLower(pairs, high01, high23));
  to[3] = hn::BitCast(bytes, hn::InterleaveUpper(pairs, high01, high23));
}

// The F16 scale at the head of each row's block.
template <class Tile>
HWY_INLINE hn::Vec<F32> load_scales(const Tile& blocks) {
  const hn::RebindToUnsigned<F32> words;
  const auto with_two_values =
      hn::GatherOffset(I32(), reinterpret_cast<const int32_t*>(blocks.first), blocks.offsets());
  return f32_of_halves(F32(), hn::BitCast(words, with_two_values));
}

// A block of ggml's Q8_0: an F16 scale, then 32 bytes.
struct Q8Block {
  static constexpr size_t kBytes = 34;
  static constexpr int32_t kOffset = kDotBias;

  // Keys of a tile, four neighbouring values a vector, as dot() takes them: each plus kOffset.
  template <class Tile>
  static HWY_INLINE void load_keys(const Tile& blocks, hn::Vec<I8>* HWY_RESTRICT k) {
    load_transposed(blocks.plus(2), k);
    load_transposed(blocks.plus(18), k + 4);
    for (int32_t i = 0; i < 8; ++i) k[i] = biased(k[i]);
  }
  static HWY_INLINE hn::Vec<I32> dot(hn::Vec<I32> sum, hn::Vec<I8> k, hn::Vec<I8> x) {
    return dot4(sum, k, x);
  }
  // A block's values but for the scale.
  static HWY_INLINE void load_values(const std::byte* block, hn::Vec<F32>* HWY_RESTRICT v) {
    const hn::Rebind<int8_t, F32> bytes;
    const auto* from = reinterpret_cast<const int8_t*>(block) + 2;
    for (int32_t i = 0; i < kBlockValues / kLanes; ++i)
      v[i] = hn::ConvertTo(F32(), hn::PromoteTo(I32(), hn::LoadU(bytes, from + i * kLanes)));
  }
};

// A block of ggml's Q4_0: an F16 scale, then 16 bytes; byte i holds values i (low) and i + 16
// (high), each plus 8.
struct Q4Block {
  static constexpr size_t kBytes = 18;
  static constexpr int32_t kOffset = 8;

  template <class Tile>
  static HWY_INLINE void load_keys(const Tile& blocks, hn::Vec<I8>* HWY_RESTRICT k) {
    const I8 bytes;
    const hn::Repartition<uint16_t, I8> words;
    const auto low = hn::Set(bytes, 15);
    load_transposed(blocks.plus(2), k);
    for (int32_t i = 0; i < 4; ++i) {
      const auto high = hn::BitCast(bytes, hn::ShiftRight<4>(hn::BitCast(words, k[i])));
      k[i + 4] = hn::And(high, low);
      k[i] = hn::And(k[i], low);
    }
  }
  static HWY_INLINE hn::Vec<I32> dot(hn::Vec<I32> sum, hn::Vec<I8> k, hn::Vec<I8> x) {
    return dot4_u7(sum, k, x);
  }
  static HWY_INLINE void load_values(const std::byte* block, hn::Vec<F32>* HWY_RESTRICT v) {
    const hn::Rebind<uint8_t, F32> bytes;
    const auto* from = reinterpret_cast<const uint8_t*>(block) + 2;
    constexpr int32_t kHalf = kBlockValues / 2 / kLanes;
    for (int32_t i = 0; i < kHalf; ++i) {
      const auto nibbles = hn::PromoteTo(I32(), hn::LoadU(bytes, from + i * kLanes));
      v[i] = value(nibbles);
      v[i + kHalf] = value(hn::ShiftRight<4>(nibbles));
    }
  }

 private:
  // Of the lowest four bits.
  static HWY_INLINE hn::Vec<F32> value(hn::Vec<I32> nibbles) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
    // One look-up in place of three steps; it takes four bits of each index.
    HWY_ALIGN static constexpr float kValues[16] = {-8, -7, -6, -5, -4, -3, -2, -1,
                                                    0,  1,  2,  3,  4,  5,  6,  7};
    return hn::Vec<F32>{_mm512_permutexvar_ps(nibbles.raw, hn::Load(F32(), kValues).raw)};
#else
    return hn::ConvertTo(F32(), hn::Sub(hn::And(nibbles, hn::Set(I32(), 15)), hn::Set(I32(), 8)));
#endif
  }
};

// Logits of kHeads rounded heads, each n_blocks long, for a tile of entries.
template <class Block, int32_t kHeads, class Tile>
HWY_INLINE void tile_of_logits(const RoundedBlock* HWY_RESTRICT q, int32_t n_blocks,
                               const Tile& rows, float* HWY_RESTRICT logits, int64_t to_head) {
  const F32 d;
  const I32 ints;
  hn::Vec<F32> sum[kHeads];
  for (auto& head : sum) head = hn::Zero(d);
  for (int32_t b = 0; b < n_blocks; ++b) {
    const Tile blocks = rows.plus(Block::kBytes * b);
    const auto scales = load_scales(blocks);
    hn::Vec<I8> k[kBlockValues / 4];
    Block::load_keys(blocks, k);
    for (int32_t h = 0; h < kHeads; ++h) {
      const RoundedBlock& x = q[h * n_blocks + b];
      auto dot = hn::Set(ints, x.start);
      for (int32_t i = 0; i < kBlockValues / 4; ++i)
        dot = Block::dot(dot, k[i], hn::BitCast(I8(), hn::Set(ints, x.x4[i])));
      sum[h] = hn::MulAdd(hn::Mul(hn::ConvertTo(d, dot), hn::Set(d, x.scale)), scales, sum[h]);
    }
  }
  for (int32_t h = 0; h < kHeads; ++h) hn::StoreU(sum[h], d, logits + h * to_head);
}

// logits[kHeads][n_kv]: rounded heads times the rows of K.
template <class Block, int32_t kHeads>
HWY_INLINE void block_logits(const RoundedBlock* q, int32_t n_blocks, const RowRun& k,
                             float* logits, int64_t n_kv) {
  int32_t i = 0;
  for (; i + kLanes <= k.n; i += kLanes) {
    k.prefetch(i, kLanes);
    const TileRows<true> tile{k.at(i), k.row_bytes, kLanes};
    tile_of_logits<Block, kHeads>(q, n_blocks, tile, logits + i, n_kv);
  }
  if (i == k.n) return;
  float last[kHeads * kLanes];
  const TileRows<false> tile{k.at(i), k.row_bytes, k.n - i};
  tile_of_logits<Block, kHeads>(q, n_blocks, tile, last, kLanes);
  for (int32_t h = 0; h < kHeads; ++h)
    std::copy_n(last + h * kLanes, k.n - i, logits + h * n_kv + i);
}

// sums[kHeads][kBlocks blocks] += weights [kHeads][to_head] x a tile of V.
template <class Block, int32_t kHeads, int32_t kBlocks, class Tile>
HWY_INLINE void weigh_tile(const float* HWY_RESTRICT weights, int64_t to_head, const Tile& rows,
                           hn::Vec<F32> (&sums)[kHeads][kBlocks][kBlockValues / kLanes]) {
  const F32 d;
  HWY_ALIGN float scaled[kHeads][kBlocks][kLanes];
  for (int32_t b = 0; b < kBlocks; ++b) {
    const auto scales = load_scales(rows.plus(Block::kBytes * b));
    for (int32_t h = 0; h < kHeads; ++h)
      hn::Store(hn::Mul(scales, hn::LoadU(d, weights + h * to_head)), d, scaled[h][b]);
  }
  for (int32_t i = 0; i < rows.n; ++i) {
    for (int32_t b = 0; b < kBlocks; ++b) {
      hn::Vec<F32> value[kBlockValues / kLanes];
      Block::load_values(rows.at(i) + Block::kBytes * b, value);
      for (int32_t h = 0; h < kHeads; ++h) {
        const auto weight = hn::Set(d, scaled[h][b][i]);
        for (int32_t c = 0; c < kBlockValues / kLanes; ++c)
          sums[h][b][c] = hn::MulAdd(weight, value[c], sums[h][b][c]);
      }
    }
  }
}

// out[kHeads][kBlocks blocks from i_block on] = weights [kHeads][to_head] x rows of V. The weights
// are followed by finite numbers up to a whole tile.
template <class Block, int32_t kHeads, int32_t kBlocks>
HWY_INLINE void weigh_blocks(const float* HWY_RESTRICT weights, int64_t to_head, const RowRun& v,
                             int32_t i_block, float* HWY_RESTRICT out, int32_t n_embd_head) {
  constexpr int32_t kVecs = kBlockValues / kLanes;  // of a block
  const F32 d;
  const size_t offset = Block::kBytes * i_block;
  hn::Vec<F32> sums[kHeads][kBlocks][kVecs];
  for (auto& head : sums)
    for (auto& block : head)
      for (auto& vec : block) vec = hn::Zero(d);
  int32_t i = 0;
  for (; i + kLanes <= v.n; i += kLanes) {
    v.prefetch(i, kLanes);
    const TileRows<true> tile{v.at(i) + offset, v.row_bytes, kLanes};
    weigh_tile<Block>(weights + i, to_head, tile, sums);
  }
  if (i < v.n) {
    const TileRows<false> tile{v.at(i) + offset, v.row_bytes, v.n - i};
    weigh_tile<Block>(weights + i, to_head, tile, sums);
  }
  out += static_cast<ptrdiff_t>(i_block) * kBlockValues;
  for (int32_t h = 0; h < kHeads; ++h) {
    for (int32_t b = 0; b < kBlocks; ++b) {
      for (int32_t c = 0; c < kVecs; ++c)
        hn::StoreU(sums[h][b][c], d,
                   out + static_cast<ptrdiff_t>(h) * n_embd_head + b * kBlockValues + c * kLanes);
    }
  }
}

// out[kHeads][n_embd_head], likewise.
template <class Block, int32_t kHeads>
HWY_INLINE void weigh_rows(const float* weights, int64_t to_head, const RowRun& v, float* out,
                           int32_t n_embd_head) {
  constexpr int32_t kBlocks = kLanes == 16 ? 2 : 1;  // whose sums fit the registers
  const int32_t n_blocks = n_embd_head / kBlockValues;
  int32_t b = 0;
  for (; b + kBlocks <= n_blocks; b += kBlocks)
    weigh_blocks<Block, kHeads, kBlocks>(weights, to_head, v, b, out, n_embd_head);
  for (; b < n_blocks; ++b)
    weigh_blocks<Block, kHeads, 1>(weights, to_head, v, b, out, n_embd_head);
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HWY_TARGET != HWY_SCALAR

#endif  // REPRISE_QUANTISED_ROWS_INL
