#include "core/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/resident_memory.h"

namespace reprise {
namespace {

TEST(Machine, IsDescribed) {
  const Machine machine = this_machine();
  EXPECT_GT(machine.n_cores, 0);
  EXPECT_GT(machine.memory_bytes, int64_t{64} << 20);
  EXPECT_THAT(machine.kernel, ::testing::HasSubstr("Linux"));
  EXPECT_FALSE(machine.compiler.empty());
  EXPECT_THAT(machine.ggml, ::testing::MatchesRegex("[0-9.]+.* [(].*[)]"));
  EXPECT_THAT(machine.date, ::testing::MatchesRegex("20..-..-..T..:..:..Z"));
}

TEST(Machine, LastCacheIsTheHighestThatTheSystemNames) {
  const std::filesystem::path cpus =
      std::filesystem::temp_directory_path() / ("reprise_caches_" + std::to_string(getpid()));
  const auto write = [&](const std::string& name, const std::string& text) {
    const std::filesystem::path path = cpus / "cpu0/cache" / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  };
  EXPECT_EQ(last_cache_bytes(cpus), 0);
  write("index0/level", "1");
  write("index0/size", "48K");
  write("index1/level", "3");
  write("index1/size", "36M");
  write("index2/level", "2");
  write("index2/size", "2048K");
  EXPECT_EQ(last_cache_bytes(cpus), int64_t{36} << 20);
  std::filesystem::remove_all(cpus);
}

TEST(ResidentMemory, PeakFollowsUseAndReset) {
  constexpr int64_t kBytes = int64_t{64} << 20;
  const bool can_reset = reset_peak_resident();
  const int64_t before = resident_memory().now;
  ASSERT_GT(before, 0);
  {
    // Mapped, for a sanitizer keeps what the heap gives back.
    void* used = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(used, MAP_FAILED);
    std::memset(used, 'x', kBytes);  // every page written
    EXPECT_EQ(static_cast<char*>(used)[kBytes / 2], 'x');
    munmap(used, kBytes);
  }
  EXPECT_GE(resident_memory().peak, before + kBytes * 9 / 10);
  if (!can_reset) GTEST_SKIP() << "this kernel does not reset the peak";
  ASSERT_TRUE(reset_peak_resident());
  EXPECT_LT(resident_memory().peak, before + kBytes / 2);
}

}  // namespace
}  // namespace reprise
