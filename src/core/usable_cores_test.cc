#include "core/usable_cores.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace reprise {
namespace {

// A folder with the files of a system.
class UsableCores : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(root_); }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  void write_siblings(int32_t processor, const std::string& list) const {
    write("cpu/cpu" + std::to_string(processor) + "/topology/thread_siblings_list", list);
  }
  int32_t count(const std::vector<int32_t>& processors = {0, 1, 2, 3, 4, 5, 6, 7}) const {
    return usable_cores(processors, {root_ / "cpu", root_ / "cgroup", root_ / "own"});
  }

  std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("reprise_usable_cores_" + std::to_string(getpid()));
};

TEST_F(UsableCores, AreThoseOfTheMask) {
  EXPECT_EQ(count({0}), 1);
  EXPECT_EQ(count({3, 7}), 2);
  EXPECT_EQ(count(), 8);
}

TEST_F(UsableCores, SiblingsCountOnce) {
  for (const int32_t i : {0, 4}) write_siblings(i, "0,4");
  for (const int32_t i : {1, 5}) write_siblings(i, "1,5");
  for (const int32_t i : {2, 3}) write_siblings(i, "2-3");
  EXPECT_EQ(count({0, 4}), 1);
  EXPECT_EQ(count({4}), 1);
  EXPECT_EQ(count({0, 5}), 2);
  EXPECT_EQ(count({0, 1, 4, 5}), 2);
  EXPECT_EQ(count({0, 1, 2, 3, 4, 5}), 3);
  EXPECT_EQ(count(), 5);  // nothing is known of 6 and 7
}

TEST_F(UsableCores, AQuotaOfVersionTwoIsRoundedUp) {
  write("own", "0::/a/b");
  const std::pair<const char*, int32_t> quotas[] = {{"max 100000", 8},     {"800000 100000", 8},
                                                    {"1600000 100000", 8}, {"300000 100000", 3},
                                                    {"250000 100000", 3},  {"200001 100000", 3},
                                                    {"50000 100000", 1},   {"1000 100000", 1},
                                                    {"25000 10000", 3},    {"", 8},
                                                    {"many 100000", 8},    {"100000 0", 8}};
  for (const auto& [text, n] : quotas) {
    write("cgroup/a/b/cpu.max", text);
    EXPECT_EQ(count(), n) << text;
  }
}

TEST_F(UsableCores, TheSmallestQuotaOnTheWayUpBinds) {
  write("own", "0::/a/b");
  write("cgroup/cpu.max", "700000 100000");
  EXPECT_EQ(count(), 7);  // a container's own group is the root that it sees
  write("cgroup/a/cpu.max", "200000 100000");
  write("cgroup/a/b/cpu.max", "400000 100000");
  EXPECT_EQ(count(), 2);
  EXPECT_EQ(count({5}), 1);
  write("own", "0::/../b");  // outside of what this process sees
  EXPECT_EQ(count(), 8);
}

TEST_F(UsableCores, AQuotaOfVersionOneCounts) {
  for (const char* line : {"4:cpu,cpuacct:/a", "3:cpuset:/\n4:cpu,cpuacct:/a\n0::/"}) {
    write("own", line);
    write("cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000");
    write("cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1");
    EXPECT_EQ(count(), 8);
    write("cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000");
    EXPECT_EQ(count(), 2);
  }
  write("own", "4:cpuacct,cpuset:/a");  // not the controller of time
  EXPECT_EQ(count(), 8);
  write("own", "1:cpu:/");
  write("cgroup/cpu/cpu.cfs_quota_us", "300000");
  write("cgroup/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(count(), 3);
}

TEST_F(UsableCores, FollowTheMaskOfThisProcess) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  int32_t first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(usable_cores(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_LE(usable_cores(), CPU_COUNT(&before));
}

}  // namespace
}  // namespace reprise
