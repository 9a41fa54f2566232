#include "core/realtime_priority.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
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

// What `ulimit -r 10` allows: to take the priority, but not to clear the flag that comes with it.
TEST(RealtimePriority, IsGivenBackWithoutRights) {
  if (getuid() != 0) GTEST_SKIP() << "only root can give rights up";
  const rlimit limit = {10, 10};
  if (setrlimit(RLIMIT_RTPRIO, &limit) != 0) GTEST_SKIP() << "this root may not raise limits";
  const auto as_nobody = [] {
    if (setuid(65534) != 0) std::_Exit(2);
    bool was_first = false;
    {
      const RealtimePriority priority;
      was_first = priority.is_granted() && scheduler() == SCHED_FIFO;
    }
    std::_Exit(was_first && scheduler() == SCHED_OTHER ? 0 : 1);
  };
  EXPECT_EXIT(as_nobody(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace reprise
