#include "core/process_age.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace reprise {
namespace {

TEST(ProcessAge, GrowsWithTheClock) {
  const double before = process_age_s();
  const auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  const double slept =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GT(before, 0);
  EXPECT_LT(before, 3600);  // since its start, not since the machine's
  EXPECT_NEAR(process_age_s() - before, slept, 0.02);
}

}  // namespace
}  // namespace reprise
