#include "core/rope_node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/kernels/attention_reference_test.h"

namespace reprise {
namespace {

struct Turned {
  std::vector<float> by_ggml;   // [n_embd_head, n_head]
  std::vector<float> by_table;  // likewise
  std::vector<float> table;     // [n_rot]
};

Turned turn(const Rope& rope, const std::vector<float>& heads, int64_t n_embd_head, int32_t pos) {
  const Backend backend(1);
  GraphArena arena(backend, 64);
  arena.begin();
  const int64_t n_head = static_cast<int64_t>(heads.size()) / n_embd_head;
  ggml_tensor* x = arena.input(GGML_TYPE_F32, static_cast<int64_t>(heads.size()));
  ggml_tensor* position = arena.input(GGML_TYPE_I32, 1);
  ggml_tensor* turned =
      rope_node(arena, rope, ggml_reshape_3d(arena.ctx(), x, n_embd_head, n_head, 1), position);
  const RopeTable table = rope_table_node(arena, rope, position);
  ggml_build_forward_expand(arena.graph(), turned);
  ggml_build_forward_expand(arena.graph(), table.values);
  arena.allocate();
  std::ranges::copy(heads, static_cast<float*>(x->data));
  *static_cast<int32_t*>(position->data) = pos;
  arena.compute();
  const auto* by_ggml = static_cast<const float*>(turned->data);
  const auto* values = static_cast<const float*>(table.values->data);
  Turned out{{by_ggml, by_ggml + heads.size()}, heads, {values, values + rope.n_rot}};
  for (int64_t h = 0; h < n_head; ++h) rotate_head(table, out.by_table.data() + n_embd_head * h);
  return out;
}

// Two products and a sum on each side, in whatever order of roundings.
void expect_equal(const Rope& rope, int64_t n_embd_head, std::mt19937& rng) {
  const std::vector<float> heads = random_values(static_cast<size_t>(3 * n_embd_head), 1, rng);
  for (const int32_t pos : {0, 1, 8191}) {
    SCOPED_TRACE("type " + std::to_string(rope.type) + " n_rot " + std::to_string(rope.n_rot) +
                 " position " + std::to_string(pos));
    const Turned turned = turn(rope, heads, n_embd_head, pos);
    const float scale =
        *std::ranges::max_element(turned.table, {}, [](float v) { return std::abs(v); });
    for (size_t i = 0; i < heads.size(); ++i) {
      if (static_cast<int64_t>(i) % n_embd_head >= rope.n_rot) {
        ASSERT_EQ(turned.by_table[i], heads[i]) << "value " << i << ", which is not rotated";
        continue;
      }
      const auto head = heads.begin() + static_cast<int64_t>(i) / n_embd_head * n_embd_head;
      const float largest = std::abs(*std::max_element(
          head, head + rope.n_rot, [](float a, float b) { return std::abs(a) < std::abs(b); }));
      const double bound = 4 * kUnit * 2 * largest * std::abs(scale);
      ASSERT_NEAR(turned.by_table[i], turned.by_ggml[i], bound) << "value " << i;
    }
  }
}

constexpr int32_t kTypes[] = {GGML_ROPE_TYPE_NORMAL, GGML_ROPE_TYPE_NEOX};

TEST(RopeNode, TableTurnsAHeadAsGgmlDoes) {
  std::mt19937 rng(1);
  for (const int32_t type : kTypes) {
    for (const int32_t n_rot : {2, 20, 32, 64}) {
      Rope rope;
      rope.type = type;
      rope.n_rot = n_rot;
      expect_equal(rope, 64, rng);
    }
  }
}

TEST(RopeNode, TableTurnsAHeadAsGgmlDoesWithScaling) {
  std::mt19937 rng(2);
  for (const int32_t type : kTypes) {
    for (const int32_t n_rot : {48, 64}) {
      Rope rope;
      rope.type = type;
      rope.n_rot = n_rot;
      rope.n_ctx_orig = 2048;
      rope.freq_base = 1e6F;
      rope.freq_scale = 0.25F;
      expect_equal(rope, 64, rng);
      rope.ext_factor = 1;
      rope.attn_factor = 1.25F;
      expect_equal(rope, 64, rng);
    }
  }
}

TEST(RopeNode, TableTurnsAHeadAsGgmlDoesWithFrequencies) {
  std::mt19937 rng(3);
  std::vector<float> factors(32);
  for (size_t i = 0; i < factors.size(); ++i) factors[i] = 1 + static_cast<float>(i) / 4;
  const Backend backend(1);
  GraphArena arena(backend, 64);
  arena.begin();
  for (const int32_t type : kTypes) {
    Rope rope;
    rope.type = type;
    rope.n_rot = 64;
    rope.freqs = arena.view(nullptr, factors.data(), GGML_TYPE_F32, {32, 1, 1}, sizeof(float) * 32,
                            sizeof(float) * 32);
    expect_equal(rope, 64, rng);  // ggml wants a factor for every pair of the head
  }
}

// What a pair becomes, by the paper's formula: pair i turns by pos / base^(2 i / n_rot).
TEST(RopeNode, TurnsPairsByTheirAngles) {
  constexpr int32_t kPos = 3;
  const std::vector<float> heads = {1, 2, 3, 4, 5};
  for (const int32_t type : kTypes) {
    Rope rope;
    rope.type = type;
    rope.n_rot = 4;
    rope.freq_base = 100;
    const Turned turned = turn(rope, heads, 5, kPos);
    const bool is_neox = type == GGML_ROPE_TYPE_NEOX;
    for (int32_t i = 0; i < 2; ++i) {
      const size_t first = is_neox ? i : 2 * i;
      const size_t second = is_neox ? i + 2 : 2 * i + 1;
      const double angle = kPos / std::pow(100.0, i / 2.0);
      const double a = heads[first];
      const double b = heads[second];
      // The angle, below 4, in at most four roundings; then its sine, two products and a sum.
      const double bound = (4 * 4 + 4) * kUnit * (a + b);
      EXPECT_NEAR(turned.by_table[first], a * std::cos(angle) - b * std::sin(angle), bound);
      EXPECT_NEAR(turned.by_table[second], a * std::sin(angle) + b * std::cos(angle), bound);
    }
    EXPECT_EQ(turned.by_table[4], 5);
  }
}

}  // namespace
}  // namespace reprise
