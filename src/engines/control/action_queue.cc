#include "engines/control/action_queue.h"

#include <algorithm>
#include <cassert>

namespace reprise {

ActionQueue::ActionQueue(int32_t n_action, int32_t n_slots)
    : n_action_(n_action),
      actions_(static_cast<size_t>(n_action) * (n_slots + 1)),  // and the one just taken
      slots_(static_cast<size_t>(n_slots) + 1, kNone) {}

void ActionQueue::set(int64_t slot, std::span<const float> action) {
  assert(slot > taken_ && slot <= last_slot());
  const size_t i = index(slot);
  if (slots_[i] != slot) ++n_remaining_;
  slots_[i] = slot;
  std::ranges::copy(action, actions_.begin() + static_cast<std::ptrdiff_t>(i) * n_action_);
}

ActionQueue::Offer ActionQueue::put(int64_t first, std::span<const float> chunk,
                                    int64_t first_fresh) {
  const auto n = static_cast<int32_t>(chunk.size() / n_action_);
  const auto n_stale = static_cast<int32_t>(std::clamp<int64_t>(first_fresh - first, 0, n));
  if (n_stale == n) {
    set(std::min(first_fresh, last_slot()), chunk.last(n_action_));
    return {n_stale, true};
  }
  for (int32_t i = n_stale; i < n; ++i) {
    set(first + i, chunk.subspan(static_cast<size_t>(i) * n_action_, n_action_));
  }
  return {n_stale, false};
}

std::span<const float> ActionQueue::take(int64_t slot) {
  for (int64_t& there : slots_) {
    if (there == kNone || there > slot) continue;
    if (there > taken_) --n_remaining_;
    if (there < slot) there = kNone;
  }
  taken_ = slot;
  return peek(slot);
}

std::span<const float> ActionQueue::peek(int64_t slot) const {
  const size_t i = index(slot);
  if (slots_[i] != slot) return {};
  return std::span(actions_).subspan(i * n_action_, n_action_);
}

void ActionQueue::clear() {
  std::ranges::fill(slots_, kNone);
  taken_ = kNone;
  n_remaining_ = 0;
}

}  // namespace reprise
