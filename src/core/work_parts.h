#pragma once

#include <atomic>
#include <cstdint>

namespace reprise {

// Parts of one graph node's work, taken by whichever thread is free: a thread that the machine
// holds up then holds up no other.
class WorkParts {
 public:
  void restart() { next_.store(0, std::memory_order_relaxed); }
  // The next part from 0 on; callers stop at their number of parts.
  int32_t take() { return next_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<int32_t> next_ = 0;
};

}  // namespace reprise
