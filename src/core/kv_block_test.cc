#include "core/kv_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/error.h"
#include "support/distant_backend.h"

namespace reprise {
namespace {

using ::testing::ElementsAreArray;

// Rows of `n` entries: byte patterns that are valid values of every type.
std::vector<std::byte> random_rows(const KvShape& shape, int32_t n, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(shape.n_embd_head) * n);
  for (float& value : values) value = normal(rng);
  std::vector<std::byte> rows(shape.row_bytes() * n);
  ggml_quantize_chunk(shape.type, values.data(), rows.data(), 0, n, shape.n_embd_head, nullptr);
  return rows;
}

struct Rows {
  std::vector<std::byte> k;
  std::vector<std::byte> v;
};

Rows read(const KvBlock& block, int32_t g, const std::vector<int32_t>& slots) {
  const size_t n_bytes = block.shape().row_bytes() * slots.size();
  Rows rows{std::vector<std::byte>(n_bytes), std::vector<std::byte>(n_bytes)};
  block.gather(g, slots, rows.k.data(), rows.v.data());
  return rows;
}

// The type of the cache, and whether it lies in memory that the CPU does not see.
class KvBlockOfType : public ::testing::TestWithParam<std::tuple<ggml_type, bool>> {
 protected:
  bool is_distant_ = std::get<1>(GetParam());
  KvShape shape_{64, 3, std::get<0>(GetParam())};
  std::unique_ptr<Backend> backend_ =
      is_distant_
          ? std::make_unique<Backend>(1, test::start_distant_backend(1), test::distant_kernels())
          : std::make_unique<Backend>(1);
  KvMemory memory_{backend_->kv_placement()};
};

TEST_P(KvBlockOfType, GathersWhatWasScattered) {
  KvBlock block(shape_, 10, memory_);
  EXPECT_EQ(block.capacity(), is_distant_ ? 256 : 10);
  EXPECT_EQ(memory_.current(), shape_.entry_bytes() * block.capacity());
  const size_t row = shape_.row_bytes();
  for (int32_t g = 0; g < 3; ++g) {
    const auto k = random_rows(shape_, 4, 10 + g);
    const auto v = random_rows(shape_, 4, 20 + g);
    block.scatter(g, 3, 4, k.data(), v.data());
    const Rows got = read(block, g, {6, 3});
    EXPECT_EQ(std::memcmp(got.k.data(), k.data() + 3 * row, row), 0);
    EXPECT_EQ(std::memcmp(got.v.data() + row, v.data(), row), 0);
  }
}

TEST_P(KvBlockOfType, ReplaceAndShiftMoveWholeEntries) {
  KvBlock block(shape_, 8, memory_);
  for (int32_t g = 0; g < 3; ++g) {
    const auto k = random_rows(shape_, 8, 30 + g);
    const auto v = random_rows(shape_, 8, 40 + g);
    block.scatter(g, 0, 8, k.data(), v.data());
  }
  const Rows before = read(block, 1, {0, 1, 2, 3, 4, 5, 6, 7});
  const Rows neighbour = read(block, 2, {0, 1, 2, 3, 4, 5, 6, 7});
  block.replace(1, 2, 7);
  const Rows seven = read(block, 1, {7});
  EXPECT_THAT(read(block, 1, {2}).k, ElementsAreArray(seven.k));
  EXPECT_THAT(read(block, 1, {2}).v, ElementsAreArray(seven.v));
  EXPECT_THAT(read(block, 2, {0, 1, 2, 3, 4, 5, 6, 7}).v, ElementsAreArray(neighbour.v));
  block.shift(0, 3, 5);
  const Rows moved = read(block, 1, {0, 4});
  const size_t row = shape_.row_bytes();
  EXPECT_EQ(std::memcmp(moved.k.data(), before.k.data() + 3 * row, row), 0);
  EXPECT_EQ(std::memcmp(moved.v.data() + row, before.v.data() + 7 * row, row), 0);
}

// What a graph stores with put() is what gather() and the graph's own views read.
TEST_P(KvBlockOfType, PutStoresTheRoundedRows) {
  GraphArena arena(*backend_);
  KvBlock block(shape_, 9, memory_);
  constexpr int32_t kTokens = 4;
  std::mt19937 rng(5);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(64) * 3 * kTokens);
  for (float& value : values) value = normal(rng);
  arena.begin();
  ggml_tensor* k = arena.input(GGML_TYPE_F32, 64 * 3, kTokens);
  ggml_tensor* v = arena.input(GGML_TYPE_F32, 64 * 3, kTokens);
  block.put(arena, 2, ggml_reshape_3d(arena.ctx(), k, 64, 3, kTokens),
            ggml_reshape_3d(arena.ctx(), v, 64, 3, kTokens));
  arena.allocate();
  ggml_backend_tensor_set(k, values.data(), 0, ggml_nbytes(k));
  const std::vector<float> mirrored_values(values.rbegin(), values.rend());
  ggml_backend_tensor_set(v, mirrored_values.data(), 0, ggml_nbytes(v));
  arena.compute();
  std::vector<std::byte> want(shape_.row_bytes());
  for (int32_t g = 0; g < 3; ++g) {
    for (int32_t i = 0; i < kTokens; ++i) {
      const float* token = values.data() + (static_cast<size_t>(i) * 3 + g) * 64;
      ggml_quantize_chunk(shape_.type, token, want.data(), 0, 1, 64, nullptr);
      EXPECT_THAT(read(block, g, {2 + i}).k, ElementsAreArray(want)) << "head " << g;
      const float* mirrored =
          values.data() + (static_cast<size_t>(kTokens - 1 - i) * 3 + 2 - g) * 64;
      std::vector<float> reversed(mirrored, mirrored + 64);
      std::reverse(reversed.begin(), reversed.end());
      ggml_quantize_chunk(shape_.type, reversed.data(), want.data(), 0, 1, 64, nullptr);
      EXPECT_THAT(read(block, g, {2 + i}).v, ElementsAreArray(want)) << "head " << g;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, KvBlockOfType,
                         ::testing::Combine(::testing::Values(GGML_TYPE_F32, GGML_TYPE_F16,
                                                              GGML_TYPE_Q8_0, GGML_TYPE_Q4_0),
                                            ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(ggml_type_name(std::get<0>(info.param))) +
                                  (std::get<1>(info.param) ? "_distant" : "");
                         });

TEST(KvShape, RefusesWhatCannotBeCached) {
  EXPECT_THROW(check_kv_shape({64, 1, GGML_TYPE_Q6_K}), Error);
  EXPECT_THROW(check_kv_shape({48, 1, GGML_TYPE_Q8_0}), Error);
  EXPECT_NO_THROW(check_kv_shape({48, 1, GGML_TYPE_F16}));
}

}  // namespace
}  // namespace reprise
