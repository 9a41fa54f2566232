#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise {

// The actions that planned chunks have for coming control steps ("slots", counted from the start
// of the episode). Where chunks overlap, the newest one wins. Allocates nothing after construction.
// Source of the rules: the real-robot loop of the Diffusion Policy reference (action timestamps).
class ActionQueue {
 public:
  // n_slots: the most slots ahead of the last one taken that will ever hold an action.
  ActionQueue(int32_t n_action, int32_t n_slots);

  struct Offer {
    int32_t n_stale = 0;          // actions of the chunk whose slot has gone by
    bool is_over_budget = false;  // that were all of them
  };
  // A chunk [n][n_action], its first action for slot `first`. Slots before `first_fresh` can no
  // longer be reached: their actions are dropped. If that were all, the last one is kept for slot
  // first_fresh (or the farthest one there is room for), so that the robot goes on.
  Offer put(int64_t first, std::span<const float> chunk, int64_t first_fresh);
  // The action of a slot, empty when there is none; forgets all slots before it. Slots only grow.
  // The span holds until the next put().
  std::span<const float> take(int64_t slot);
  // The action of a slot not yet forgotten, empty when there is none.
  std::span<const float> peek(int64_t slot) const;
  // Slots behind the last one taken that have an action.
  int32_t n_remaining() const { return n_remaining_; }
  void clear();

 private:
  static constexpr int64_t kNone = -1;
  int64_t last_slot() const { return taken_ + std::ssize(slots_) - 1; }
  size_t index(int64_t slot) const { return static_cast<size_t>(slot) % slots_.size(); }
  void set(int64_t slot, std::span<const float> action);

  int32_t n_action_;
  std::vector<float> actions_;  // [n_slots][n_action], slot s at s % n_slots
  std::vector<int64_t> slots_;  // the slot that stands there, or kNone
  int64_t taken_ = kNone;
  int32_t n_remaining_ = 0;
};

}  // namespace reprise
