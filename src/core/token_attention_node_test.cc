#include "core/token_attention_node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "core/bounded_values_test.h"
#include "core/kernels/attention_reference_test.h"
#include "core/kernels/token_vectors.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

constexpr float kEps = 1e-6F;

struct Form {
  ggml_type type = GGML_TYPE_F16;  // of the cache
  int32_t n_kv = 1;                // with the new entry
  int32_t n_embd_head = 64;
  int32_t n_head = 6;
  int32_t n_head_kv = 2;
  bool has_norms = false;
  int32_t rope_type = GGML_ROPE_TYPE_NORMAL;
  int32_t n_rot = 64;
  int32_t pos = 0;

  std::string text() const {
    return std::string(ggml_type_name(type)) + " n_kv " + std::to_string(n_kv) +
           (has_norms ? " norms" : "") + " rope " + std::to_string(rope_type) + " of " +
           std::to_string(n_rot) + " at " + std::to_string(pos);
  }
};

// A cache whose last row waits for the new entry, and that token's products.
struct Token {
  Token(const Form& f, uint32_t seed)
      : rng(seed),
        form(f),
        shape{f.n_embd_head, f.n_head, f.n_head_kv, f.type,
              1 / std::sqrt(static_cast<float>(f.n_embd_head))},
        k(shape, f.n_kv, f.n_kv + 3, 1, rng),
        v(shape, f.n_kv, f.n_kv + 3, 1, rng),
        raw_q(random_values(static_cast<size_t>(f.n_embd_head) * f.n_head, 1, rng)),
        raw_k(random_values(static_cast<size_t>(f.n_embd_head) * f.n_head_kv, 1, rng)),
        raw_v(random_values(raw_k.size(), 1, rng)) {
    if (f.has_norms) {
      q_norm = random_values(static_cast<size_t>(f.n_embd_head), 1, rng);
      k_norm = random_values(static_cast<size_t>(f.n_embd_head), 1, rng);
    }
    row_bytes = ggml_row_size(f.type, f.n_embd_head);
    // NaN: whoever reads it before it is stored shows.
    for (CacheRows* rows : {&k, &v}) {
      for (int32_t g = 0; g < f.n_head_kv; ++g)
        std::fill_n(rows->bytes(g, f.n_kv - 1), row_bytes, std::byte{0xFF});
    }
  }

  Rope rope() const {
    Rope r;
    r.n_rot = form.n_rot;
    r.type = form.rope_type;
    return r;
  }

  // Everything of a cache but the new entry, its surplus rows included.
  std::vector<std::byte> others(CacheRows& rows) const {
    std::vector<std::byte> out;
    for (int32_t g = 0; g < form.n_head_kv; ++g) {
      for (int32_t n = 0; n < form.n_kv + 3; ++n)
        if (n != form.n_kv - 1)
          out.insert(out.end(), rows.bytes(g, n), rows.bytes(g, n) + row_bytes);
    }
    return out;
  }

  // [n_head_kv] rows of the new entry.
  std::vector<std::byte> entry(CacheRows& rows) const {
    std::vector<std::byte> out;
    for (int32_t g = 0; g < form.n_head_kv; ++g) {
      std::byte* row = rows.bytes(g, form.n_kv - 1);
      out.insert(out.end(), row, row + row_bytes);
    }
    return out;
  }

  std::mt19937 rng;
  Form form;
  AttentionShape shape;
  CacheRows k;
  CacheRows v;
  std::vector<float> raw_q;  // [n_embd_head * n_head], before norm and RoPE
  std::vector<float> raw_k;  // [n_embd_head * n_head_kv]
  std::vector<float> raw_v;
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  size_t row_bytes = 0;
};

ggml_tensor* cache(GraphArena& arena, const Token& t, const CacheRows& rows) {
  const KvRows view = rows.view();
  return arena.view(nullptr, const_cast<std::byte*>(view.data), t.form.type,
                    {t.form.n_embd_head, t.form.n_kv, t.form.n_head_kv}, view.row_bytes,
                    view.head_bytes);
}

struct Result {
  std::vector<float> out;    // [n_embd_head, n_head]
  std::vector<float> probs;  // [n_kv, n_head], where asked for
  std::vector<float> q;      // as the attention saw them
  std::vector<std::byte> k;  // [n_head_kv] rows of the new entry, from the same kernels one by one
};

void turn_heads(const RopeTable& table, const std::vector<float>& norm, int64_t n,
                std::vector<float>& heads) {
  for (float* head = heads.data(); head != heads.data() + heads.size(); head += n) {
    if (!norm.empty()) rms_norm(head, norm.data(), kEps, n, head);
    rotate_head(table, head);
  }
}

std::vector<std::byte> stored(ggml_type type, const std::vector<float>& values) {
  const auto n = static_cast<int64_t>(values.size());
  std::vector<std::byte> bytes(ggml_row_size(type, n));
  if (type == GGML_TYPE_F32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  } else {
    ggml_get_type_traits_cpu(type)->from_float(values.data(), bytes.data(), n);
  }
  return bytes;
}

Result run_node(Token& t, int32_t n_threads, AttentionExtra extra) {
  const Backend backend(n_threads);
  GraphArena arena(backend, 64);
  arena.begin();
  const Form& f = t.form;
  ggml_tensor* pos = arena.input(GGML_TYPE_I32, 1);
  ggml_tensor* q = vector_leaf(arena, t.raw_q);
  NewEntry entry;
  entry.k = vector_leaf(arena, t.raw_k);
  entry.v = vector_leaf(arena, t.raw_v);
  entry.q_norm = vector_leaf(arena, t.q_norm);
  entry.k_norm = vector_leaf(arena, t.k_norm);
  entry.eps = kEps;
  entry.rope = rope_table_node(arena, t.rope(), pos);
  AttentionInputs in;
  in.q = ggml_reshape_3d(arena.ctx(), q, f.n_embd_head, f.n_head, 1);
  in.k = cache(arena, t, t.k);
  in.v = cache(arena, t, t.v);
  in.span = {.n_held = f.n_kv - 1, .n_tokens = 1};
  in.scale = t.shape.scale;
  const AttentionNode node = token_attention_node(arena, {in, entry}, extra);
  ggml_build_forward_expand(arena.graph(), node.out);
  if (node.probs != nullptr) ggml_build_forward_expand(arena.graph(), node.probs);
  ggml_build_forward_expand(arena.graph(), entry.rope.values);
  ggml_set_output(entry.rope.values);
  arena.allocate();
  *static_cast<int32_t*>(pos->data) = f.pos;
  arena.compute();
  Result result;
  const auto* out = static_cast<const float*>(node.out->data);
  result.out.assign(out, out + t.raw_q.size());
  if (node.probs != nullptr) {
    const auto* probs = static_cast<const float*>(node.probs->data);
    result.probs.assign(probs, probs + static_cast<int64_t>(f.n_kv) * f.n_head);
  }
  result.q = t.raw_q;
  turn_heads(entry.rope, t.q_norm, f.n_embd_head, result.q);
  std::vector<float> k = t.raw_k;
  turn_heads(entry.rope, t.k_norm, f.n_embd_head, k);
  result.k = stored(f.type, k);
  return result;
}

// What ggml's own operations make of the new entry.
struct Twin {
  std::vector<float> k;           // [n_embd_head, n_head_kv], normed and rotated
  std::vector<std::byte> k_rows;  // as ggml_cpy stores it
  std::vector<std::byte> v_rows;
};

Twin run_twin(Token& t) {
  const Backend backend(2);
  GraphArena arena(backend, 64);
  arena.begin();
  ggml_context* ctx = arena.ctx();
  const Form& f = t.form;
  Twin twin;
  const size_t n_bytes = t.row_bytes * f.n_head_kv;
  twin.k_rows.resize(n_bytes);
  twin.v_rows.resize(n_bytes);
  const auto rows = [&](std::vector<std::byte>& to) {
    return arena.view(nullptr, to.data(), f.type, {f.n_embd_head, f.n_head_kv, 1}, t.row_bytes,
                      n_bytes);
  };
  ggml_tensor* pos = arena.input(GGML_TYPE_I32, 1);
  ggml_tensor* k = ggml_reshape_3d(ctx, vector_leaf(arena, t.raw_k), f.n_embd_head, f.n_head_kv, 1);
  if (f.has_norms) k = ggml_mul(ctx, ggml_rms_norm(ctx, k, kEps), vector_leaf(arena, t.k_norm));
  const Rope rope = t.rope();
  k = ggml_rope_ext(ctx, k, pos, nullptr, rope.n_rot, rope.type, rope.n_ctx_orig, rope.freq_base,
                    rope.freq_scale, rope.ext_factor, rope.attn_factor, 32, 1);
  ggml_tensor* v = ggml_reshape_3d(ctx, vector_leaf(arena, t.raw_v), f.n_embd_head, f.n_head_kv, 1);
  ggml_build_forward_expand(arena.graph(), ggml_cpy(ctx, k, rows(twin.k_rows)));
  ggml_build_forward_expand(arena.graph(), ggml_cpy(ctx, v, rows(twin.v_rows)));
  ggml_set_output(k);
  arena.allocate();
  *static_cast<int32_t*>(pos->data) = f.pos;
  arena.compute();
  const auto* values = static_cast<const float*>(k->data);
  twin.k.assign(values, values + t.raw_k.size());
  return twin;
}

// Steps between the values a cache of this type holds, for a row or block of the largest magnitude
// max: two roundings of values that are almost the same may differ by one, and where the scale
// (F16) differs by its last bit, by that bit for each step.
double cache_step(ggml_type type, double max) {
  switch (type) {
    case GGML_TYPE_Q8_0:
      return max / 127 + 0x1p-10 * max;
    case GGML_TYPE_Q4_0:
      return max / 8 + 0x1p-10 * max;
    case GGML_TYPE_F16:
      return 0x1p-10 * max;
    default:
      return 0;
  }
}

void expect_stored(Token& t, const Result& got) {
  const Form& f = t.form;
  EXPECT_EQ(t.entry(t.k), got.k) << "other than norm, rotation and rounding one by one";
  const Twin twin = run_twin(t);
  EXPECT_EQ(t.entry(t.v), twin.v_rows);
  if (!f.has_norms && f.pos == 0) {  // nothing is rounded
    EXPECT_EQ(t.entry(t.k), twin.k_rows);
  }
  // A norm: half of the sum's error, and six roundings; the rotation: four, of two values.
  const double error = 2 * (sum_error(f.n_embd_head + 1) / 2 + 10 * kUnit) * 2;
  for (int32_t g = 0; g < f.n_head_kv; ++g) {
    const float* want = twin.k.data() + static_cast<int64_t>(f.n_embd_head) * g;
    const float* values = t.k.values(g, f.n_kv - 1);
    double max = 0;
    for (int32_t i = 0; i < f.n_embd_head; ++i)
      max = std::max(max, static_cast<double>(std::abs(want[i])));
    for (int32_t i = 0; i < f.n_embd_head; ++i)
      ASSERT_NEAR(values[i], want[i], cache_step(f.type, max) + error * max) << "value " << i;
  }
}

void expect_attends(const Token& t, const Result& got) {
  const Form& f = t.form;
  for (int32_t h = 0; h < f.n_head; ++h) {
    const int64_t first = static_cast<int64_t>(f.n_embd_head) * h;
    const RowReference want =
        attend_row(t.shape, got.q.data() + first, t.k, t.v, h / t.shape.n_group(), 0, f.n_kv,
                   QueryRounding::kForBlockTypes);
    for (int32_t i = 0; i < f.n_embd_head; ++i)
      ASSERT_NEAR(got.out[first + i], want.out[i], want.out_bound[i]) << "head " << h << " " << i;
    if (got.probs.empty()) continue;
    for (int32_t n = 0; n < f.n_kv; ++n) {
      ASSERT_NEAR(got.probs[static_cast<int64_t>(f.n_kv) * h + n], want.probs[n],
                  want.probs_bound[n])
          << "head " << h << " entry " << n;
    }
  }
}

void expect_twins(const Form& form, uint32_t seed) {
  SCOPED_TRACE(form.text() + " seed " + std::to_string(seed));
  std::vector<float> first;
  for (const int32_t n_threads : {1, 2, 5, 16}) {
    SCOPED_TRACE(std::to_string(n_threads) + " threads");
    Token t(form, seed);
    const std::vector<std::byte> other_k = t.others(t.k);
    const std::vector<std::byte> other_v = t.others(t.v);
    const auto extra = n_threads == 1 ? AttentionExtra::kNone : AttentionExtra::kProbs;
    const Result got = run_node(t, n_threads, extra);
    t.k.refresh();
    t.v.refresh();
    EXPECT_EQ(t.others(t.k), other_k);
    EXPECT_EQ(t.others(t.v), other_v);
    expect_stored(t, got);
    expect_attends(t, got);
    if (testing::Test::HasFailure()) return;
    if (first.empty()) first = got.out;
    EXPECT_EQ(got.out, first);
  }
}

constexpr ggml_type kTypes[] = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0};

TEST(TokenAttentionNode, StoresTheNewEntryAndAttendsToIt) {
  uint32_t seed = 0;
  for (const ggml_type type : kTypes) {
    for (const int32_t n_kv : {1, 2, 65, 1100}) {
      for (const bool has_norms : {false, true}) {
        Form form;
        form.type = type;
        form.n_kv = n_kv;
        form.has_norms = has_norms;
        form.rope_type = seed % 3 == 0 ? GGML_ROPE_TYPE_NORMAL : GGML_ROPE_TYPE_NEOX;
        form.n_rot = seed % 5 == 0 ? 48 : 64;
        form.pos = n_kv - 1;
        expect_twins(form, ++seed);
        if (HasFailure()) return;
      }
    }
  }
}

// Without norms at position 0 no value is rounded before it is stored.
TEST(TokenAttentionNode, StoresWhatGgmlCopies) {
  uint32_t seed = 100;
  for (const ggml_type type : kTypes) {
    for (const int32_t n_head_kv : {1, 6}) {
      Form form;
      form.type = type;
      form.n_kv = 9;
      form.n_head_kv = n_head_kv;
      form.n_embd_head = 96;
      expect_twins(form, ++seed);
      if (HasFailure()) return;
    }
  }
}

TEST(TokenAttentionNode, AttendsToStoredEntriesWithoutANewOne) {
  uint32_t seed = 200;
  for (const ggml_type type : kTypes) {
    for (const int32_t n_kv : {1, 300}) {
      for (const int32_t n_threads : {1, 5}) {
        Form form;
        form.type = type;
        form.n_kv = n_kv;
        SCOPED_TRACE(form.text());
        Token t(form, ++seed);
        t.k = CacheRows(t.shape, n_kv, n_kv + 3, 1, t.rng);
        t.v = CacheRows(t.shape, n_kv, n_kv + 3, 1, t.rng);
        const Backend backend(n_threads);
        GraphArena arena(backend, 64);
        arena.begin();
        AttentionInputs in;
        in.q = ggml_reshape_3d(arena.ctx(), vector_leaf(arena, t.raw_q), form.n_embd_head,
                               form.n_head, 1);
        in.k = cache(arena, t, t.k);
        in.v = cache(arena, t, t.v);
        in.span = {.n_held = n_kv - 1, .n_tokens = 1};
        in.scale = t.shape.scale;
        const AttentionNode node = token_attention_node(arena, {in, {}}, AttentionExtra::kNone);
        ggml_build_forward_expand(arena.graph(), node.out);
        arena.allocate();
        arena.compute();
        const auto* out = static_cast<const float*>(node.out->data);
        expect_attends(t, {{out, out + t.raw_q.size()}, {}, t.raw_q, {}});
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace reprise
