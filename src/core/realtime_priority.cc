#include "core/realtime_priority.h"

#include <sched.h>

namespace reprise {
namespace {

// Above ordinary threads, below what the kernel and its drivers run at (50).
constexpr int kPriority = 10;

bool is_ordinary(int policy) {
  const int kind = policy & ~SCHED_RESET_ON_FORK;
  return kind == SCHED_OTHER || kind == SCHED_BATCH || kind == SCHED_IDLE;
}

}  // namespace

RealtimePriority::RealtimePriority() {
  sched_param old{};
  old_policy_ = sched_getscheduler(0);
  if (old_policy_ < 0 || sched_getparam(0, &old) != 0) return;
  old_priority_ = old.sched_priority;
  is_granted_ = !is_ordinary(old_policy_);
  if (is_granted_) return;  // somebody chose it
  const sched_param wanted{.sched_priority = kPriority};
  was_changed_ = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &wanted) == 0;
  is_granted_ = was_changed_;
}

RealtimePriority::~RealtimePriority() {
  if (!was_changed_) return;
  const sched_param old{.sched_priority = old_priority_};
  if (sched_setscheduler(0, old_policy_, &old) == 0) return;
  // Without CAP_SYS_NICE the flag has to stay; an ordinary thread does not notice it.
  sched_setscheduler(0, old_policy_ | SCHED_RESET_ON_FORK, &old);
}

}  // namespace reprise
