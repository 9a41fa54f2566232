#include "core/kernels/prefill_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/decode_attention.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

AttentionShape shape_of(int32_t n_embd_head, int32_t n_group, int32_t n_head_kv, ggml_type type) {
  return {.n_embd_head = n_embd_head,
          .n_head = n_group * n_head_kv,
          .n_head_kv = n_head_kv,
          .type = type,
          .scale = 1 / std::sqrt(static_cast<float>(n_embd_head))};
}

std::string text(const RandomPass& p, uint32_t seed) {
  const AttentionShape& s = p.shape;
  return std::string(ggml_type_name(s.type)) + " head size " + std::to_string(s.n_embd_head) +
         " heads " + std::to_string(s.n_head) + " KV heads " + std::to_string(s.n_head_kv) +
         " held " + std::to_string(p.span.n_held) + " tokens " + std::to_string(p.span.n_tokens) +
         " window " + std::to_string(p.span.n_swa) + " seed " + std::to_string(seed);
}

std::vector<RowReference> references(const RandomPass& p) {  // [n_head, n_tokens]
  std::vector<RowReference> rows;
  for (int32_t i = 0; i < p.span.n_tokens; ++i) {
    for (int32_t h = 0; h < p.shape.n_head; ++h) rows.push_back(p.reference(i, h));
  }
  return rows;
}

void expect_near(const RandomPass& p, const PrefillResult& got,
                 const std::vector<RowReference>& want) {
  const int32_t n_embd_head = p.shape.n_embd_head;
  for (size_t r = 0; r < want.size(); ++r) {
    for (int32_t x = 0; x < n_embd_head; ++x) {
      ASSERT_NEAR(got.out[r * n_embd_head + x], want[r].out[x], want[r].out_bound[x])
          << "token " << r / p.shape.n_head << " head " << r % p.shape.n_head << " value " << x;
    }
    ASSERT_NEAR(got.lse[r], want[r].lse, want[r].lse_bound)
        << "token " << r / p.shape.n_head << " head " << r % p.shape.n_head;
  }
}

void expect_near_on_all_targets(const RandomPass& p, uint32_t seed) {
  SCOPED_TRACE(text(p, seed));
  const std::vector<RowReference> want = references(p);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    expect_near(p, prefill(p), want);
  });
}

bool is_finite(const float* values, size_t n) {
  return std::all_of(values, values + n, [](float x) { return std::isfinite(x); });
}

// Out and lse of a token's head are both finite.
bool is_finite_row(const RandomPass& p, const PrefillResult& got, int32_t i_token, int32_t head) {
  const size_t r = static_cast<size_t>(i_token) * p.shape.n_head + head;
  return is_finite(got.out.data() + r * p.shape.n_embd_head, p.shape.n_embd_head) &&
         std::isfinite(got.lse[r]);
}

// `spoil` breaks key or value n of KV head 0, or what its queries make of it. Each entry in turn:
// out of every token that sees it must not be finite, KV head 1 must be.
template <class F>
void expect_spoiled_entry_shows(const CausalSpan& span, F&& spoil) {
  constexpr uint32_t kSeed = 6;
  const AttentionShape shape = shape_of(20, 2, 2, GGML_TYPE_F32);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (int32_t n = 0; n < span.n_kv(); n += 7) {
      std::mt19937 rng(kSeed);
      RandomPass p(shape, span, 1, rng);
      spoil(p, n);
      const PrefillResult got = prefill(p);
      for (int32_t i = 0; i < span.n_tokens; ++i) {
        for (int32_t h = 0; h < 4; ++h) {
          const size_t r = static_cast<size_t>(i) * 4 + h;
          const bool is_out_finite = is_finite(got.out.data() + r * 20, 20);
          if (h < 2 && span.begin(i) <= n && n < span.end(i)) {
            ASSERT_FALSE(is_out_finite) << "entry " << n << " token " << i << " head " << h;
          } else if (h >= 2) {
            ASSERT_TRUE(is_out_finite) << "entry " << n << " token " << i << " head " << h;
          }
        }
      }
    }
  });
}

void set_f32(CacheRows& rows, int32_t n, int32_t x, float value) {
  reinterpret_cast<float*>(rows.bytes(0, n))[x] = value;
}

TEST(PrefillAttention, EqualsTheF64Reference) {
  constexpr int32_t kHeld[] = {0, 1, 63, 64, 65, 500};
  constexpr int32_t kTokens[] = {1, 2, 31, 32, 33, 97, 130};
  constexpr int32_t kWindows[] = {0, 1, 5, 64, 100};
  constexpr int32_t kSizes[] = {1, 8, 20, 32, 64, 80, 128, 256};
  constexpr int32_t kGroups[] = {1, 2, 3, 4, 5, 7, 8};
  for (uint32_t seed = 0; seed < 84; ++seed) {
    std::mt19937 rng(seed);
    const int32_t size = kSizes[(seed + seed / 8) % 8];
    const int32_t group = kGroups[(seed + seed / 7) % 7];
    const CausalSpan span{
        .n_held = kHeld[seed % 6], .n_tokens = kTokens[seed % 7], .n_swa = kWindows[seed % 5]};
    // All KV heads run the same code: many only where that is cheap.
    const int64_t cost = int64_t{size} * group * span.n_tokens * span.n_kv();
    const int32_t n_head_kv = cost > 1'000'000 ? 1 : 1 + static_cast<int32_t>(rng() % 4);
    const AttentionShape shape =
        shape_of(size, cost > 12'000'000 ? std::min(group, 2) : group, n_head_kv,
                 cache_type(size, static_cast<int32_t>(seed / 8)));
    expect_near_on_all_targets(RandomPass(shape, span, 1, rng), seed);
    if (HasFatalFailure()) return;
  }
}

TEST(PrefillAttention, StaysRightAtHugeLogits) {
  for (const float magnitude : {80.0F, 1e4F}) {
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16}) {
      std::mt19937 rng(21);
      // Of normal queries the logits are normal.
      const RandomPass p(shape_of(64, 3, 1, type), {.n_held = 70, .n_tokens = 33}, magnitude, rng);
      expect_near_on_all_targets(p, 21);
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        const PrefillResult got = prefill(p);
        EXPECT_TRUE(is_finite(got.out.data(), got.out.size()));
        EXPECT_TRUE(is_finite(got.lse.data(), got.lse.size()));
      });
    }
  }
}

// A max that grows with every tile, and one that the first tile has already: what was summed before
// must shrink, or nothing but it count.
TEST(PrefillAttention, FollowsAMaxThatMoves) {
  for (const float slope : {0.3F, -0.3F, 2.0F, -2.0F}) {
    std::mt19937 rng(22);
    RandomPass p(shape_of(8, 2, 1, GGML_TYPE_F32), {.n_held = 300, .n_tokens = 5}, 1, rng);
    for (int32_t n = 0; n < p.span.n_kv(); ++n)
      set_f32(p.k, n, 0, slope * static_cast<float>(n - 150));
    for (size_t i = 0; i < p.q.size(); i += 8) p.q[i] = 1;
    p.k.refresh();
    expect_near_on_all_targets(p, 22);
  }
}

TEST(PrefillAttention, DependsOnNoOrder) {
  for (const int32_t n_swa : {0, 40}) {
    std::mt19937 rng(23);
    const RandomPass p(shape_of(80, 5, 2, GGML_TYPE_F16),
                       {.n_held = 65, .n_tokens = 97, .n_swa = n_swa}, 1, rng);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      const PrefillResult forward = prefill(p, PartOrder::kForward);
      const PrefillResult backward = prefill(p, PartOrder::kBackward);
      EXPECT_EQ(forward.out, backward.out);
      EXPECT_EQ(forward.lse, backward.lse);
    });
  }
}

// Entries that a token does not see change none of its bits.
TEST(PrefillAttention, SeesNeitherTheFutureNorBehindItsWindow) {
  std::mt19937 rng(24);
  const RandomPass p(shape_of(32, 3, 1, GGML_TYPE_F32), {.n_held = 70, .n_tokens = 40, .n_swa = 50},
                     1, rng);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    const PrefillResult before = prefill(p);
    for (const int32_t n : {0, 30, 69, 75, 109}) {
      RandomPass changed = p;
      for (CacheRows* rows : {&changed.k, &changed.v}) {
        for (int32_t x = 0; x < 32; ++x) set_f32(*rows, n, x, 50.0F);
      }
      const PrefillResult after = prefill(changed);
      for (int32_t i = 0; i < p.span.n_tokens; ++i) {
        const bool is_seen = p.span.begin(i) <= n && n < p.span.end(i);
        for (int32_t r = i * 3; r < (i + 1) * 3; ++r) {
          const auto at = before.out.begin() + static_cast<ptrdiff_t>(r) * 32;
          const bool is_equal =
              std::equal(at, at + 32, after.out.begin() + static_cast<ptrdiff_t>(r) * 32) &&
              before.lse[r] == after.lse[r];
          ASSERT_EQ(is_equal, !is_seen) << "entry " << n << " token " << i;
        }
      }
    }
  });
}

TEST(PrefillAttention, NeedsNoLse) {
  std::mt19937 rng(25);
  const RandomPass p(shape_of(8, 2, 1, GGML_TYPE_F16), {.n_held = 3, .n_tokens = 4}, 1, rng);
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> out(p.q.size());
    std::vector<float> scratch(prefill_attention_scratch(p.shape));
    prefill_attention_part({.shape = p.shape,
                            .k = p.k.view(),
                            .v = p.v.view(),
                            .span = p.span,
                            .q = p.q.data(),
                            .out = out.data()},
                           0, 0, scratch.data());
    EXPECT_EQ(out, prefill(p).out);
  });
}

TEST(PrefillAttention, OfOneTokenEqualsDecodeAttention) {
  for (const int32_t n_held : {0, 1, 64, 500}) {
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
      std::mt19937 rng(26);
      const RandomPass p(shape_of(64, 3, 2, type), {.n_held = n_held, .n_tokens = 1}, 1, rng);
      SCOPED_TRACE(text(p, 26));
      const std::vector<RowReference> rows = references(p);
      std::vector<RowReference> rows_of_decode;
      rows_of_decode.reserve(p.shape.n_head);
      for (int32_t h = 0; h < p.shape.n_head; ++h)
        rows_of_decode.push_back(p.reference(0, h, QueryRounding::kForBlockTypes));
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        std::vector<float> out(p.q.size());
        std::vector<float> logits(static_cast<size_t>(p.span.n_kv()) * p.shape.n_head);
        std::vector<float> sums(decode_sums_size(p.shape, p.span.n_kv()));
        const DecodeAttention a{.shape = p.shape,
                                .k = p.k.view(),
                                .v = p.v.view(),
                                .n_kv = p.span.n_kv(),
                                .q = p.q.data(),
                                .out = out.data(),
                                .logits = logits.data(),
                                .sums = sums.data()};
        for (int32_t g = 0; g < 2; ++g) {
          for (int32_t i = 0; i < a.n_parts(); ++i) decode_attention_part(a, g, i);
          decode_attention_merge(a, g);
        }
        const PrefillResult got = prefill(p);
        for (size_t i = 0; i < out.size(); ++i) {  // each within its bound of the same reference
          const size_t head = i / 64;
          ASSERT_NEAR(got.out[i], out[i],
                      rows[head].out_bound[i % 64] + rows_of_decode[head].out_bound[i % 64]);
        }
      });
    }
  }
}

// NaN and infinity: a broken model or cache must never look like an answer.

constexpr CausalSpan kSpans[] = {{.n_held = 90, .n_tokens = 50},
                                 {.n_held = 90, .n_tokens = 50, .n_swa = 30}};

TEST(PrefillAttention, ShowsANanInAKey) {
  for (const CausalSpan& span : kSpans) {
    expect_spoiled_entry_shows(span, [](RandomPass& p, int32_t n) { set_f32(p.k, n, 17, kNan); });
  }
}
TEST(PrefillAttention, ShowsANanInAValue) {
  for (const CausalSpan& span : kSpans) {
    expect_spoiled_entry_shows(span, [](RandomPass& p, int32_t n) { set_f32(p.v, n, 19, kNan); });
  }
}
TEST(PrefillAttention, ShowsAnInfiniteValue) {
  for (const CausalSpan& span : kSpans) {
    expect_spoiled_entry_shows(span,
                               [](RandomPass& p, int32_t n) { set_f32(p.v, n, 0, kInfinity); });
  }
}
TEST(PrefillAttention, ShowsAKeyOfInfiniteLogit) {
  for (const CausalSpan& span : kSpans) {
    expect_spoiled_entry_shows(span, [](RandomPass& p, int32_t n) {
      for (size_t i = 17; i < p.q.size(); i += 20) p.q[i] = 1;
      set_f32(p.k, n, 17, kInfinity);
    });
  }
}
TEST(PrefillAttention, ShowsAKeyOfMinusInfiniteLogit) {
  for (const CausalSpan& span : kSpans) {
    expect_spoiled_entry_shows(span, [](RandomPass& p, int32_t n) {
      for (size_t i = 17; i < p.q.size(); i += 20) p.q[i] = 1;
      set_f32(p.k, n, 17, -kInfinity);
    });
  }
}
TEST(PrefillAttention, ShowsABrokenQueryInItsRowAlone) {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    for (const CausalSpan& span : kSpans) {
      std::mt19937 rng(27);
      const RandomPass p(shape_of(20, 2, 2, GGML_TYPE_F32), span, 1, rng);
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        for (const int32_t i_bad : {0, 3, 40, 49}) {
          RandomPass broken = p;
          broken.q[(static_cast<size_t>(i_bad) * 4 + 1) * 20 + 5] = bad;
          const PrefillResult got = prefill(broken);
          for (int32_t i = 0; i < span.n_tokens; ++i) {
            for (int32_t h = 0; h < 4; ++h) {
              ASSERT_EQ(is_finite_row(p, got, i, h), i != i_bad || h != 1)
                  << "token " << i << " head " << h;
            }
          }
        }
      });
    }
  }
}
// The statistics of a window and the like read lse alone.
TEST(PrefillAttention, ShowsANanKeyInLse) {
  const CausalSpan span{.n_held = 90, .n_tokens = 50};
  for_each_simd_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (int32_t n = 0; n < span.n_kv(); n += 7) {
      std::mt19937 rng(28);
      RandomPass p(shape_of(20, 1, 1, GGML_TYPE_F32), span, 1, rng);
      set_f32(p.k, n, 3, kNan);
      const PrefillResult got = prefill(p);
      for (int32_t i = 0; i < span.n_tokens; ++i)
        ASSERT_EQ(std::isfinite(got.lse[i]), n >= span.end(i)) << "entry " << n << " token " << i;
    }
  });
}

}  // namespace
}  // namespace reprise
