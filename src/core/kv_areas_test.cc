#include "core/kv_areas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/resident_memory.h"

namespace reprise {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMiB = size_t{1} << 20;

bool is_filled(const std::byte* at, size_t n_bytes, int with) {
  return std::all_of(at, at + n_bytes, [&](std::byte b) { return b == std::byte(with); });
}

TEST(KvAreas, GivesPagesSideBySide) {
  KvAreas areas;
  const auto a = areas.take(1);
  const auto b = areas.take(kMiB + 1);
  const auto c = areas.take(kPage);
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.get()) % kHugePageBytes, 0U);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.get()) % kPage, 0U);
  EXPECT_GE(b.get(), a.get() + 1);
  EXPECT_GE(c.get(), b.get() + kMiB + 1);
  EXPECT_LT(c.get(), a.get() + 2 * kMiB);
}

// The pages between what others hold, and nothing of theirs.
TEST(KvAreas, GivesBackWhatIsDropped) {
  KvAreas areas;
  const auto before = areas.take(kPage + 7);
  auto dropped = areas.take(24 * kMiB);
  const auto behind = areas.take(kPage + 7);
  std::fill_n(before.get(), kPage + 7, std::byte{1});
  std::fill_n(dropped.get(), 24 * kMiB, std::byte{2});
  std::fill_n(behind.get(), kPage + 7, std::byte{3});
  const int64_t full = resident_memory().now;
  dropped.reset();
  // The sanitizers' own memory moves too; the sixth part is left to it.
  EXPECT_LT(resident_memory().now, full - static_cast<int64_t>(20 * kMiB));
  EXPECT_TRUE(is_filled(before.get(), kPage + 7, 1));
  EXPECT_TRUE(is_filled(behind.get(), kPage + 7, 3));
}

TEST(KvAreas, HaveRoomForAnySize) {
  KvAreas areas;
  std::vector<std::shared_ptr<std::byte>> blocks;
  for (const size_t n_bytes : {KvAreas::kAreaBytes, KvAreas::kAreaBytes + 1, size_t{9}, 20 * kMiB,
                               20 * kMiB, KvAreas::kAreaBytes}) {
    auto& block = blocks.emplace_back(areas.take(n_bytes));
    ASSERT_NE(block, nullptr);
    block.get()[0] = block.get()[n_bytes - 1] = std::byte(blocks.size());
  }
  for (size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(blocks[i].get()[0], std::byte(i + 1));
}

TEST(KvAreas, BlocksOutliveThem) {
  std::shared_ptr<std::byte> block;
  {
    KvAreas areas;
    block = areas.take(3 * kPage);
  }
  std::fill_n(block.get(), 3 * kPage, std::byte{5});
  EXPECT_TRUE(is_filled(block.get(), 3 * kPage, 5));
}

}  // namespace
}  // namespace reprise
