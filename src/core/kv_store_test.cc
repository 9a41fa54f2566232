#include "core/kv_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::ElementsAre;

constexpr KvShape kShape{32, 2, GGML_TYPE_F16};

// Entry `value` of KV head g: every half of K and V says who it is.
std::vector<std::byte> rows_of(int32_t g, const std::vector<int32_t>& values) {
  std::vector<ggml_fp16_t> halves;
  for (const int32_t value : values) {
    halves.insert(halves.end(), 32, static_cast<ggml_fp16_t>(100 * g + value));
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(halves.data());
  return {bytes, bytes + halves.size() * sizeof(ggml_fp16_t)};
}

void write(KvBlock& block, int32_t first, const std::vector<int32_t>& values) {
  for (int32_t g = 0; g < 2; ++g) {
    const auto rows = rows_of(g, values);
    block.scatter(g, first, static_cast<int32_t>(values.size()), rows.data(), rows.data());
  }
}

// The entries of a head, by their K and their V, which must agree.
std::vector<int32_t> held(KvStore& kv, int32_t il, int32_t g) {
  std::vector<int32_t> slots(kv.count(il));
  std::iota(slots.begin(), slots.end(), 0);
  std::vector<ggml_fp16_t> k(32 * slots.size());
  std::vector<ggml_fp16_t> v(32 * slots.size());
  kv.block(il).gather(g, slots, reinterpret_cast<std::byte*>(k.data()),
                      reinterpret_cast<std::byte*>(v.data()));
  EXPECT_EQ(k, v);
  std::vector<int32_t> values;
  values.reserve(slots.size());
  for (const int32_t slot : slots) values.push_back(k[slot * 32 + 31] - 100 * g);
  return values;
}

std::vector<int32_t> positions(const KvStore& kv, int32_t il, int32_t g) {
  std::vector<int32_t> out;
  out.reserve(kv.count(il));
  for (int32_t slot = 0; slot < kv.count(il); ++slot) out.push_back(kv.position(il, g, slot));
  return out;
}

TEST(KvStore, GrowsAndKeepsWhatIsThere) {
  KvStore kv({{kShape, 0}});
  kv.make_room(0, 3);
  write(kv.block(0), 0, {1, 2, 3});
  kv.commit(0, 3, 40);
  kv.make_room(0, 600);
  EXPECT_GE(kv.capacity(0), 603);
  EXPECT_THAT(held(kv, 0, 1), ElementsAre(1, 2, 3));
  EXPECT_THAT(positions(kv, 0, 1), ElementsAre(40, 41, 42));
  EXPECT_EQ(kv.memory().current(), kv.shape(0).entry_bytes() * kv.capacity(0));
  EXPECT_EQ(kv.n_held_bytes(), 3 * (2 * 2 * 32 * 2 + 2 * 4));
}

TEST(KvStore, WindowedLayerForgetsWhatNoTokenSees) {
  constexpr int32_t kWindow = 4;
  KvStore kv({{kShape, kWindow}});
  int32_t n_past = 0;
  for (const int32_t n : {512, 3, 2, 1, 512}) {
    kv.make_room(0, n);
    std::vector<int32_t> values(n);
    std::iota(values.begin(), values.end(), n_past);
    write(kv.block(0), kv.count(0), values);
    kv.commit(0, n, n_past);
    n_past += n;
    EXPECT_LE(kv.capacity(0), kWindow + KvStore::kMaxPass);
    ASSERT_GE(kv.count(0), kWindow);
    const std::vector<int32_t> now = positions(kv, 0, 0);
    for (size_t i = 0; i < now.size(); ++i) {
      EXPECT_EQ(now[i], n_past - static_cast<int32_t>(now.size() - i));
    }
    EXPECT_EQ(held(kv, 0, 1), now);
  }
}

// A cascade: stored once by rank, cut twice, settled behind what an earlier turn holds.
TEST(KvStore, AdoptsPagesBehindHeldEntries) {
  KvStore kv({{kShape, 0}});
  kv.make_room(0, 2);
  write(kv.block(0), 0, {7, 8});
  kv.commit(0, 2, 0);
  KvBlock staging(kShape, 300, kv.memory());
  std::vector<int32_t> values(300);
  std::iota(values.begin(), values.end(), 0);
  write(staging, 0, values);
  const int64_t before = kv.memory().current();
  KvPages pages(kShape, kv.memory());
  std::vector<int32_t> order(200);
  for (int32_t g = 0; g < 2; ++g) {
    std::iota(order.begin(), order.end(), 5 + g);
    std::reverse(order.begin(), order.end());
    pages.store(g, staging, order, std::vector<int32_t>{298, 299});
  }
  const int64_t page_bytes = (2 * kShape.row_bytes() + 4) * KvPages::kPageEntries;
  const int64_t window_bytes = (2 * kShape.row_bytes() + 4) * 2;
  EXPECT_EQ(kv.memory().current() - before, 2 * (4 * page_bytes + window_bytes));
  pages.truncate(65);
  EXPECT_EQ(kv.memory().current() - before, 2 * (2 * page_bytes + window_bytes));
  pages.truncate(3);
  EXPECT_EQ(kv.memory().current() - before, 2 * (page_bytes + window_bytes));
  kv.adopt(0, std::move(pages), 10, 6);
  EXPECT_EQ(kv.count(0), 7);
  EXPECT_GE(kv.capacity(0), 13);
  EXPECT_THAT(held(kv, 0, 0), ElementsAre(7, 8, 204, 203, 202, 298, 299));
  EXPECT_THAT(held(kv, 0, 1), ElementsAre(7, 8, 205, 204, 203, 298, 299));
  EXPECT_THAT(positions(kv, 0, 1), ElementsAre(0, 1, 215, 214, 213, 308, 309));
  kv.replace(0, 1, 2, 6);
  EXPECT_THAT(held(kv, 0, 1), ElementsAre(7, 8, 299, 204, 203, 298, 299));
  EXPECT_THAT(held(kv, 0, 0), ElementsAre(7, 8, 204, 203, 202, 298, 299));
  EXPECT_THAT(positions(kv, 0, 1), ElementsAre(0, 1, 309, 214, 213, 308, 309));
}

// What a layer held and a prompt behind it, in one staging area: the layer stays until the
// exchange.
TEST(KvStore, ReplacesALayerByWhatWasKeptOfItAndAPrompt) {
  KvStore kv({{kShape, 0}});
  kv.make_room(0, 4);
  write(kv.block(0), 0, {3, 1, 2, 0});
  kv.commit(0, 4, 0);
  kv.truncate(0, 3);
  kv.replace(0, 1, 0, 2);  // the heads hold other tokens: positions 0 1 2, and 2 1 2
  kv.truncate(0, 2);
  EXPECT_THAT(positions(kv, 0, 0), ElementsAre(0, 1));
  EXPECT_THAT(positions(kv, 0, 1), ElementsAre(2, 1));
  EXPECT_THAT(kv.slots_by_position(0, 0), ElementsAre(0, 1));
  EXPECT_THAT(kv.slots_by_position(0, 1), ElementsAre(1, 0));

  KvBlock staging(kShape, 6, kv.memory());
  write(staging, 0, {10, 11, 12, 13, 14, 15});  // two older entries, four of positions 20..23
  const std::vector<std::byte> before = kv.save_layer(0);
  const int64_t n_bytes = kv.memory().current();
  {
    KvPages pages(kShape, kv.memory());
    for (int32_t g = 0; g < 2; ++g) {
      pages.store(g, staging, std::vector<int32_t>{1, 2, 0}, std::vector<int32_t>{4, 5});
    }
    KvStore::Detached contents = kv.detached(0, std::move(pages), 20, 3);
    EXPECT_EQ(kv.save_layer(0), before);
    kv.exchange(0, contents);
    EXPECT_THAT(held(kv, 0, 0), ElementsAre(11, 12, 10, 14, 15));
    EXPECT_THAT(positions(kv, 0, 0), ElementsAre(1, 20, 0, 22, 23));
    EXPECT_THAT(positions(kv, 0, 1), ElementsAre(2, 20, 1, 22, 23));
    EXPECT_EQ(kv.capacity(0), 8);
    kv.exchange(0, contents);
    EXPECT_EQ(kv.save_layer(0), before);
  }
  EXPECT_EQ(kv.memory().current(), n_bytes);
}

TEST(KvStore, LayerRoundTrip) {
  KvStore kv({{kShape, 0}});
  kv.make_room(0, 5);
  write(kv.block(0), 0, {9, 4, 2, 6, 1});
  kv.commit(0, 5, 3);
  kv.replace(0, 0, 0, 4);
  const std::vector<std::byte> bytes = kv.save_layer(0);
  KvStore other({{kShape, 0}});
  other.restore_layer(0, bytes);
  EXPECT_EQ(held(other, 0, 0), held(kv, 0, 0));
  EXPECT_EQ(held(other, 0, 1), held(kv, 0, 1));
  EXPECT_EQ(positions(other, 0, 0), positions(kv, 0, 0));
  EXPECT_THROW(other.restore_layer(0, std::span(bytes).first(bytes.size() - 1)), Error);
  EXPECT_THROW(other.restore_layer(0, std::span(bytes).first(2)), Error);
  std::vector<std::byte> hostile = bytes;
  hostile[3] = std::byte{0x7f};
  EXPECT_THROW(other.restore_layer(0, hostile), Error);
  EXPECT_EQ(held(other, 0, 1), held(kv, 0, 1));  // untouched by what was refused
}

}  // namespace
}  // namespace reprise
