#pragma once

namespace reprise {

// The calling thread runs before every ordinary thread of the machine until destruction, which must
// be in the same thread: SCHED_FIFO at a low real-time priority, where the system grants it (root,
// CAP_SYS_NICE, or `ulimit -r`). Threads that it starts meanwhile are ordinary ones. For threads
// that mostly sleep: one that computes would starve the others.
class RealtimePriority {
 public:
  RealtimePriority();
  ~RealtimePriority();
  RealtimePriority(const RealtimePriority&) = delete;
  RealtimePriority& operator=(const RealtimePriority&) = delete;

  // The thread has a real-time priority, by this or already before.
  bool is_granted() const { return is_granted_; }

 private:
  bool is_granted_ = false;
  bool was_changed_ = false;
  int old_policy_ = 0;
  int old_priority_ = 0;
};

}  // namespace reprise
