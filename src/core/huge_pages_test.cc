#include "core/huge_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace reprise {
namespace {

// Of the mapping that holds `at`: bytes that stand in large pages.
int64_t n_huge_bytes(const void* at) {
  std::ifstream file("/proc/self/smaps");
  const auto address = reinterpret_cast<uintptr_t>(at);
  bool is_it = false;
  for (std::string line; std::getline(file, line);) {
    unsigned long long first = 0;
    unsigned long long end = 0;
    long long n_kib = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &first, &end) == 2) {
      is_it = address >= first && address < end;
    } else if (is_it && std::sscanf(line.c_str(), "AnonHugePages: %lld kB", &n_kib) == 1) {
      return n_kib << 10;
    }
  }
  return -1;
}

TEST(HugePages, AreAlignedAndZero) {
  for (const size_t n_bytes : {size_t{1}, kHugePageBytes, kHugePageBytes + 1}) {
    const HugePages memory = allocate_huge_pages(n_bytes);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.get()) % kHugePageBytes, 0);
    EXPECT_TRUE(std::all_of(memory.get(), memory.get() + n_bytes,
                            [](std::byte byte) { return byte == std::byte{0}; }));
    std::fill_n(memory.get(), n_bytes, std::byte{1});
  }
}

TEST(HugePages, AreNullWhereMemoryIsShort) {
  EXPECT_EQ(allocate_huge_pages(size_t{1} << 62), nullptr);
}

// malloc keeps what was freed, in the small pages of its first use, and hands it out again.
TEST(HugePages, AreLargeAlsoAfterMuchWasFreed) {
  constexpr size_t kBytes = 16 * kHugePageBytes;
  const HugePages before = allocate_huge_pages(kBytes);
  ASSERT_NE(before, nullptr);
  std::fill_n(before.get(), kBytes, std::byte{1});
  if (n_huge_bytes(before.get()) <= 0) GTEST_SKIP() << "this system gives no large pages";
  std::vector<std::unique_ptr<std::byte[]>> pieces(2048);
  for (auto& piece : pieces) piece = std::make_unique<std::byte[]>(size_t{1} << 16);
  const std::unique_ptr<std::byte[]> last = std::move(pieces.back());  // keeps the heap in place
  pieces.clear();
  const HugePages after = allocate_huge_pages(kBytes);
  ASSERT_NE(after, nullptr);
  std::fill_n(after.get(), kBytes, std::byte{1});
  EXPECT_GE(n_huge_bytes(after.get()), static_cast<int64_t>(kBytes) / 2);
}

}  // namespace
}  // namespace reprise
