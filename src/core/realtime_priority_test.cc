#include "core/realtime_priority.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

namespace reprise {
namespace {

int scheduler() { return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; }

TEST(RealtimePriority, LastsAsLongAsItLivesAndIsNotInherited) {
  const int before = scheduler();
  {
    const RealtimePriority priority;
    EXPECT_EQ(scheduler(), priority.is_granted() ? SCHED_FIFO : before);
    const RealtimePriority again;
    EXPECT_EQ(again.is_granted(), priority.is_granted());
    int of_another = -1;
    std::thread([&] { of_another = scheduler(); }).join();
    EXPECT_EQ(of_another, SCHED_OTHER);
  }
  EXPECT_EQ(scheduler(), before);
}

TEST(RealtimePriority, IsLeftAloneWhereTheSystemRefusesIt) {
  if (getuid() != 0) GTEST_SKIP() << "only root can give rights up";
  const auto as_nobody = [] {
    if (setuid(65534) != 0) std::_Exit(2);
    const RealtimePriority priority;
    std::_Exit(!priority.is_granted() && scheduler() == SCHED_OTHER ? 0 : 1);
  };
  EXPECT_EXIT(as_nobody(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace reprise
