#include "core/kernels/decode_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint16_t kHalfNan = 0x7E00;
constexpr uint16_t kHalfInfinity = 0x7C00;

AttentionShape shape_of(int32_t n_embd_head, int32_t n_group, int32_t n_head_kv, ggml_type type) {
  return {.n_embd_head = n_embd_head,
          .n_head = n_group * n_head_kv,
          .n_head_kv = n_head_kv,
          .type = type,
          .scale = 1 / std::sqrt(static_cast<float>(n_embd_head))};
}

// One token over random entries.
struct Decode {
  Decode(const AttentionShape& s, int32_t n, int32_t capacity, std::mt19937& rng)
      : shape(s),
        n_kv(n),
        k(s, n, capacity, 1, rng),
        v(s, n, capacity, 1, rng),
        q(random_values(static_cast<size_t>(s.n_embd_head) * s.n_head, 1, rng)) {}

  AttentionShape shape;
  int32_t n_kv;
  CacheRows k;
  CacheRows v;
  std::vector<float> q;  // [n_embd_head, n_head]
};

// Gives d a query of multiples of max / 127 in every 32 values: what is left of it when it is
// rounded for blocks is the query itself.
void take_round_query(Decode& d, std::mt19937& rng) {
  for (size_t i = 0; i < d.q.size(); ++i) {
    const float step = std::ldexp(1.0F, -5 - static_cast<int32_t>(i / 32 % 3));
    const auto n = static_cast<int32_t>(rng() % 255) - 127;
    d.q[i] = step * static_cast<float>(i % 32 == 11 ? -127 : n);
  }
}

enum class Order : uint8_t { kForward, kBackward, kTwoThreads };

struct DecodeResult {
  std::vector<float> out;    // [n_embd_head, n_head]
  std::vector<float> probs;  // [n_kv, n_head]
};

DecodeResult run(const Decode& d, Order order = Order::kForward) {
  constexpr int32_t kGuard = 64;
  constexpr float kGuardValue = 123456.0F;
  const AttentionShape& s = d.shape;
  const int64_t n_sums = decode_sums_size(s, d.n_kv);
  std::vector<float> sums(n_sums + kGuard, kNan);
  std::fill_n(sums.end() - kGuard, kGuard, kGuardValue);
  DecodeResult result{std::vector<float>(d.q.size(), kNan),
                      std::vector<float>(static_cast<size_t>(d.n_kv) * s.n_head, kNan)};
  const DecodeAttention a{.shape = s,
                          .k = d.k.view(),
                          .v = d.v.view(),
                          .n_kv = d.n_kv,
                          .q = d.q.data(),
                          .out = result.out.data(),
                          .logits = result.probs.data(),
                          .sums = sums.data()};
  const int32_t n_parts = s.n_head_kv * a.n_parts();
  const auto run_part = [&](int32_t i) {
    decode_attention_part(a, i / a.n_parts(), i % a.n_parts());
  };
  if (order == Order::kTwoThreads) {
    std::thread other([&] {
      for (int32_t i = 1; i < n_parts; i += 2) run_part(i);
    });
    for (int32_t i = 0; i < n_parts; i += 2) run_part(i);
    other.join();
  } else {
    for (int32_t i = 0; i < n_parts; ++i) run_part(order == Order::kForward ? i : n_parts - 1 - i);
  }
  for (int32_t g = 0; g < s.n_head_kv; ++g) {
    decode_attention_merge(a, g);
    decode_attention_probs(a, g);
  }
  EXPECT_EQ(std::count(sums.end() - kGuard, sums.end(), kGuardValue), kGuard)
      << "decode_attention writes behind its sums";
  return result;
}

std::vector<RowReference> references(const Decode& d,
                                     QueryRounding rounding = QueryRounding::kForBlockTypes) {
  std::vector<RowReference> rows;
  rows.reserve(d.shape.n_head);
  for (int32_t h = 0; h < d.shape.n_head; ++h) {
    rows.push_back(attend_row(d.shape, d.q.data() + static_cast<size_t>(h) * d.shape.n_embd_head,
                              d.k, d.v, h / d.shape.n_group(), 0, d.n_kv, rounding));
  }
  return rows;
}

void expect_near(const Decode& d, const DecodeResult& got, const std::vector<RowReference>& want) {
  const int32_t n_embd_head = d.shape.n_embd_head;
  for (int32_t h = 0; h < d.shape.n_head; ++h) {
    const RowReference& row = want[h];
    for (int32_t x = 0; x < n_embd_head; ++x) {
      ASSERT_NEAR(got.out[static_cast<size_t>(h) * n_embd_head + x], row.out[x], row.out_bound[x])
          << "head " << h << " value " << x;
    }
    double sum = 0;
    double sum_bound = 0;
    for (int32_t n = 0; n < d.n_kv; ++n) {
      const float p = got.probs[static_cast<size_t>(h) * d.n_kv + n];
      ASSERT_NEAR(p, row.probs[n], row.probs_bound[n]) << "head " << h << " entry " << n;
      sum += p;
      sum_bound += row.probs_bound[n];
    }
    ASSERT_NEAR(sum, 1, sum_bound) << "head " << h;
  }
}

std::string text(const Decode& d, uint32_t seed) {
  const AttentionShape& s = d.shape;
  return std::string(ggml_type_name(s.type)) + " head size " + std::to_string(s.n_embd_head) +
         " heads " + std::to_string(s.n_head) + " KV heads " + std::to_string(s.n_head_kv) +
         " n_kv " + std::to_string(d.n_kv) + " seed " + std::to_string(seed);
}

// Whether the output of a KV head has a value that is not finite.
bool shows(const Decode& d, const DecodeResult& got, int32_t g) {
  const auto n = static_cast<ptrdiff_t>(d.shape.n_group()) * d.shape.n_embd_head;
  const auto first = got.out.begin() + g * n;
  return !std::all_of(first, first + n, [](float x) { return std::isfinite(x); });
}

// KV head 0 gets what `spoil` writes into entry n, for every n; it must show there and nowhere
// else. Lengths: with and without entries behind the last whole vector.
template <class F>
void expect_spoiled_entry_shows(ggml_type type, F&& spoil) {
  constexpr uint32_t kSeed = 5;
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const int32_t n_kv : {1, 5, 32, 33, 48}) {
      for (int32_t n = 0; n < n_kv; ++n) {
        std::mt19937 rng(kSeed);
        Decode d(shape_of(32, 2, 2, type), n_kv, n_kv, rng);
        spoil(d, n);
        const DecodeResult got = run(d);
        ASSERT_TRUE(shows(d, got, 0)) << "n_kv " << n_kv << " entry " << n;
        ASSERT_FALSE(shows(d, got, 1)) << "n_kv " << n_kv << " entry " << n;
      }
    }
  });
}

void set_f32(CacheRows& rows, int32_t n, int32_t x, float value) {
  reinterpret_cast<float*>(rows.bytes(0, n))[x] = value;
}
// Also the scale of a block of q8_0 or q4_0, which has value 0's place.
void set_half(CacheRows& rows, int32_t n, uint16_t bits) {
  std::memcpy(rows.bytes(0, n), &bits, sizeof(bits));
}

TEST(DecodeAttention, EqualsTheF64Reference) {
  constexpr int32_t kMostGroup = 16;
  constexpr int32_t kSizes[] = {1, 8, 20, 32, 64, 80, 96, 128, 256};
  constexpr int32_t kLengths[] = {1, 2, 3, 31, 32, 33, 511, 512, 513, 3000};
  for (uint32_t seed = 0; seed < 180; ++seed) {
    std::mt19937 rng(seed);
    const int32_t size = kSizes[seed % 9];
    const int32_t n_kv = kLengths[(seed + seed / 10) % 10];
    const auto n_group = static_cast<int32_t>(1 + rng() % kMostGroup);
    const AttentionShape shape = shape_of(size, n_group, static_cast<int32_t>(1 + rng() % 3),
                                          cache_type(size, static_cast<int32_t>(seed / 9)));
    const Decode d(shape, n_kv, n_kv + static_cast<int32_t>(rng() % 3) * 20, rng);
    SCOPED_TRACE(text(d, seed));
    const std::vector<RowReference> want = references(d);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      expect_near(d, run(d), want);
    });
    if (HasFatalFailure()) return;
  }
}

TEST(DecodeAttention, RoundsNoQueryThatIsRound) {
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    for (const int32_t size : {32, 64, 96, 256}) {
      for (const int32_t n_kv : {1, 15, 16, 17, 300}) {
        std::mt19937 rng(16);
        Decode d(shape_of(size, 5, 2, type), n_kv, n_kv + 1, rng);
        take_round_query(d, rng);
        SCOPED_TRACE(text(d, 16));
        const std::vector<RowReference> want = references(d, QueryRounding::kNone);
        for_each_simd_target([&](const char* target) {
          SCOPED_TRACE(target);
          expect_near(d, run(d), want);
        });
      }
    }
  }
}

// Keys with one value besides zeros tell of every query value how far it was moved, and the half of
// them that are zero as a whole that the others are not all moved together.
TEST(DecodeAttention, RoundsAQueryToTheNearestStep) {
  constexpr int32_t kSize = 64;
  constexpr int32_t kRows = 2 * kSize;
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    std::mt19937 rng(17);
    Decode d(shape_of(kSize, 4, 1, type), kRows, kRows, rng);
    for (int32_t n = 0; n < kRows; ++n) {
      std::vector<float> key(kSize);
      if (n < kSize) key[n] = n % 2 == 0 ? 8 : -8;
      ggml_quantize_chunk(type, key.data(), d.k.bytes(0, n), 0, 1, kSize, nullptr);
    }
    d.k.refresh();
    SCOPED_TRACE(text(d, 17));
    const std::vector<RowReference> want = references(d);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      expect_near(d, run(d), want);
    });
  }
}

TEST(DecodeAttention, StaysRightAtHugeLogits) {
  for (const float magnitude : {80.0F, 1e4F}) {
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_Q8_0}) {
      std::mt19937 rng(11);
      Decode d(shape_of(64, 3, 2, type), 300, 300, rng);
      take_round_query(d, rng);             // the bound of another's rounding would be infinite
      for (float& x : d.q) x *= magnitude;  // logits are of about the magnitude
      SCOPED_TRACE(text(d, 11));
      const std::vector<RowReference> want = references(d, QueryRounding::kNone);
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        expect_near(d, run(d), want);
      });
    }
  }
}

// Scales of blocks and F16 values below the normal range of F16 count.
TEST(DecodeAttention, ReadsSubnormalRows) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    std::mt19937 rng(12);
    Decode d(shape_of(64, 2, 1, type), 40, 40, rng);
    d.v = CacheRows(d.shape, 40, 40, 4e-6F, rng);
    ASSERT_TRUE(std::any_of(d.v.all_values().begin(), d.v.all_values().end(),
                            [](float x) { return x != 0; }));
    SCOPED_TRACE(text(d, 12));
    const std::vector<RowReference> want = references(d);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      expect_near(d, run(d), want);
    });
  }
}

TEST(DecodeAttention, DependsOnNoOrderAndNoThread) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    for (const int32_t n_kv : {33, 257, 1000}) {
      for (const int32_t n_head_kv : {1, 3}) {
        std::mt19937 rng(13);
        const Decode d(shape_of(64, 5, n_head_kv, type), n_kv, n_kv + 7, rng);
        SCOPED_TRACE(text(d, 13));
        for_each_simd_target([&](const char* target) {
          SCOPED_TRACE(target);
          const DecodeResult forward = run(d);
          for (const Order order : {Order::kBackward, Order::kTwoThreads}) {
            const DecodeResult other = run(d, order);
            EXPECT_EQ(forward.out, other.out);
            EXPECT_EQ(forward.probs, other.probs);
          }
        });
      }
    }
  }
}

TEST(DecodeAttention, SeesASetOfEntries) {
  for (const int32_t n_kv : {33, 300}) {
    std::mt19937 rng(14);
    const Decode d(shape_of(80, 3, 2, GGML_TYPE_F32), n_kv, n_kv, rng);
    SCOPED_TRACE(text(d, 14));
    std::vector<int32_t> order(n_kv);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), rng);
    Decode shuffled = d;
    shuffled.k.permute(order);
    shuffled.v.permute(order);
    const std::vector<RowReference> want = references(d);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const DecodeResult a = run(d);
      const DecodeResult b = run(shuffled);
      for (int32_t h = 0; h < d.shape.n_head; ++h) {
        for (int32_t x = 0; x < 80; ++x)  // each within the bound of the same reference
          ASSERT_NEAR(a.out[h * 80 + x], b.out[h * 80 + x], 2 * want[h].out_bound[x]);
        for (int32_t n = 0; n < n_kv; ++n) {
          ASSERT_NEAR(a.probs[static_cast<size_t>(h) * n_kv + order[n]],
                      b.probs[static_cast<size_t>(h) * n_kv + n],
                      2 * want[h].probs_bound[order[n]]);
        }
      }
    });
  }
}

TEST(DecodeAttention, GivesTheOnlyEntryExactly) {
  for (const int32_t size : {1, 8, 20, 64, 256}) {
    std::mt19937 rng(15);
    const Decode d(shape_of(size, 3, 2, GGML_TYPE_F32), 1, 4, rng);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const DecodeResult got = run(d);
      for (int32_t h = 0; h < d.shape.n_head; ++h) {
        for (int32_t x = 0; x < size; ++x)
          ASSERT_EQ(got.out[static_cast<size_t>(h) * size + x], d.v.values(h / 3, 0)[x]);
        ASSERT_EQ(got.probs[h], 1);
      }
    });
  }
}

// A query too small to round counts as zero: every entry is as likely as any other.
TEST(DecodeAttention, TakesATinyQueryAsZero) {
  for (const float tiny : {0.0F, 1e-44F, 1e-37F}) {
    for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
      std::mt19937 rng(18);
      Decode d(shape_of(64, 3, 2, type), 50, 50, rng);
      for (float& x : d.q) x = std::copysign(tiny, x);
      SCOPED_TRACE(text(d, 18));
      const std::vector<RowReference> want = references(d, QueryRounding::kNone);
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        expect_near(d, run(d), want);
      });
    }
  }
}

// NaN and infinity: a broken model or cache must never look like an answer.

TEST(DecodeAttention, ShowsANanInAnF32Key) {
  expect_spoiled_entry_shows(GGML_TYPE_F32,
                             [](Decode& d, int32_t n) { set_f32(d.k, n, 17, kNan); });
}
TEST(DecodeAttention, ShowsANanInAnF16Key) {
  expect_spoiled_entry_shows(GGML_TYPE_F16,
                             [](Decode& d, int32_t n) { set_half(d.k, n, kHalfNan); });
}
TEST(DecodeAttention, ShowsANanScaleOfAKeyBlock) {
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    expect_spoiled_entry_shows(type, [](Decode& d, int32_t n) { set_half(d.k, n, kHalfNan); });
  }
}
TEST(DecodeAttention, ShowsANanScaleOfAValueBlock) {
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    expect_spoiled_entry_shows(type, [](Decode& d, int32_t n) { set_half(d.v, n, kHalfNan); });
  }
}
TEST(DecodeAttention, ShowsAnInfiniteScaleOfAKeyBlock) {  // what an infinite key becomes
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    expect_spoiled_entry_shows(type, [](Decode& d, int32_t n) { set_half(d.k, n, kHalfInfinity); });
  }
}
TEST(DecodeAttention, ShowsAnInfiniteScaleOfAValueBlock) {
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    expect_spoiled_entry_shows(type, [](Decode& d, int32_t n) { set_half(d.v, n, kHalfInfinity); });
  }
}
TEST(DecodeAttention, ShowsANanInAValue) {
  expect_spoiled_entry_shows(GGML_TYPE_F32,
                             [](Decode& d, int32_t n) { set_f32(d.v, n, 31, kNan); });
}
TEST(DecodeAttention, ShowsAnInfiniteValue) {
  expect_spoiled_entry_shows(GGML_TYPE_F32,
                             [](Decode& d, int32_t n) { set_f32(d.v, n, 31, -kInfinity); });
}
TEST(DecodeAttention, ShowsAKeyOfInfiniteLogit) {
  expect_spoiled_entry_shows(GGML_TYPE_F32, [](Decode& d, int32_t n) {
    set_f32(d.k, n, 17, std::copysign(kInfinity, d.q[17]));
  });
}
TEST(DecodeAttention, ShowsAKeyOfMinusInfiniteLogit) {
  expect_spoiled_entry_shows(GGML_TYPE_F32, [](Decode& d, int32_t n) {
    for (int32_t h = 0; h < 2; ++h) d.q[h * 32 + 17] = 1;
    set_f32(d.k, n, 17, -kInfinity);
  });
}
TEST(DecodeAttention, ShowsABrokenQuery) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    SCOPED_TRACE(ggml_type_name(type));
    for (const float bad : {kNan, kInfinity, -kInfinity})
      expect_spoiled_entry_shows(type, [bad](Decode& d, int32_t n) { d.q[n % 64] = bad; });
  }
}

// Threads take the parts of all KV heads in order, each the next one when it has done its last; a
// part costs what it has entries. From 64 entries a thread on, none does more than half again of
// its share: the longest part has at most 3/4 of that. Below, parts are as short as they may be.
TEST(DecodeAttention, PartsShareOutEvenly) {
  constexpr int32_t kShortest = 32;
  for (const int32_t n_threads : {2, 16}) {
    for (const int32_t n_head_kv : {1, 2, 3, 4, 8}) {
      const AttentionShape shape = shape_of(64, 3, n_head_kv, GGML_TYPE_F16);
      for (int32_t n_kv = 128; n_kv <= 8000; ++n_kv) {
        const DecodeAttention a{.shape = shape, .k = {}, .v = {}, .n_kv = n_kv};
        std::vector<int32_t> done(n_threads);  // entries
        for (int32_t i = 0; i < a.n_parts() * n_head_kv; ++i) {
          const int32_t first = i % a.n_parts() * a.part_rows();
          *std::ranges::min_element(done) += std::min(a.part_rows(), n_kv - first);
        }
        const int32_t n_all = n_kv * n_head_kv;
        ASSERT_EQ(std::accumulate(done.begin(), done.end(), 0), n_all);
        if (n_all < 64 * n_threads) {
          ASSERT_EQ(a.part_rows(), kShortest) << n_kv << " entries in " << n_head_kv << " KV heads";
        } else {
          ASSERT_LE(2 * n_threads * *std::ranges::max_element(done), 3 * n_all)
              << n_kv << " entries in " << n_head_kv << " KV heads on " << n_threads << " threads";
        }
      }
    }
  }
}

// What a caller relies on who has the sums of the most entries and fewer of them now.
TEST(DecodeAttention, SumsForManyEntriesHoldThoseOfFewer) {
  for (const int32_t n_head_kv : {1, 2, 3, 4, 5, 8, 16, 17, 32}) {
    const AttentionShape shape = shape_of(64, 3, n_head_kv, GGML_TYPE_F16);
    int64_t most = 0;  // that any length so far needs
    for (int32_t n_kv = 1; n_kv <= 3000; ++n_kv) {
      const DecodeAttention a{.shape = shape, .k = {}, .v = {}, .n_kv = n_kv};
      // Of each part and head: a row of values, a max and a sum.
      most = std::max(most, int64_t{a.n_parts()} * n_head_kv * 3 * (64 + 2));
      ASSERT_LE(most, decode_sums_size(shape, n_kv)) << "KV heads " << n_head_kv;
      ASSERT_LE(a.part_rows(), DecodeAttention::kMaxPartRows);
      ASSERT_LE(decode_sums_size(shape, n_kv - 1), decode_sums_size(shape, n_kv));
    }
  }
}

}  // namespace
}  // namespace reprise
