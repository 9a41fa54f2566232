#include "engines/control/action_queue.h"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

namespace reprise {
namespace {

// One number an action; -1 where there is none.
float taken(ActionQueue& queue, int64_t slot) {
  const std::span<const float> action = queue.take(slot);
  return action.empty() ? -1 : action[0];
}

TEST(ActionQueue, DropsWhatIsStaleByTable) {
  const std::vector<float> chunk = {10, 11, 12, 13};  // for slots 5 to 8
  // first fresh slot; stale, over budget; what slots 5 to 9 give
  const std::tuple<int64_t, int32_t, bool, std::vector<float>> cases[] = {
      {3, 0, false, {10, 11, 12, 13, -1}}, {5, 0, false, {10, 11, 12, 13, -1}},
      {6, 1, false, {-1, 11, 12, 13, -1}}, {8, 3, false, {-1, -1, -1, 13, -1}},
      {9, 4, true, {-1, -1, -1, -1, 13}},
  };
  for (const auto& [first_fresh, n_stale, is_over_budget, want] : cases) {
    ActionQueue queue(1, 5);
    queue.take(4);
    const ActionQueue::Offer offer = queue.put(5, chunk, first_fresh);
    EXPECT_EQ(offer.n_stale, n_stale) << first_fresh;
    EXPECT_EQ(offer.is_over_budget, is_over_budget) << first_fresh;
    EXPECT_EQ(queue.n_remaining(), is_over_budget ? 1 : 4 - n_stale) << first_fresh;
    std::vector<float> got;
    for (int64_t slot = 5; slot < 10; ++slot) got.push_back(taken(queue, slot));
    EXPECT_EQ(got, want) << first_fresh;
    EXPECT_EQ(queue.n_remaining(), 0);
  }
}

TEST(ActionQueue, NewestChunkWinsWhereItHasAnAction) {
  ActionQueue queue(1, 6);
  queue.put(0, std::vector<float>{0, 1, 2, 3, 4}, 0);
  EXPECT_EQ(taken(queue, 0), 0);
  EXPECT_EQ(queue.n_remaining(), 4);
  queue.put(0, std::vector<float>{20, 21, 22, 23}, 2);  // overlaps slots 2 and 3
  EXPECT_EQ(queue.n_remaining(), 4);
  EXPECT_EQ(taken(queue, 1), 1);
  EXPECT_EQ(taken(queue, 2), 22);
  EXPECT_EQ(taken(queue, 3), 23);
  EXPECT_EQ(taken(queue, 4), 4);  // the older one still serves behind it
  EXPECT_EQ(taken(queue, 5), -1);
}

TEST(ActionQueue, SkippedSlotsAreForgotten) {
  ActionQueue queue(2, 4);
  queue.put(0, std::vector<float>{0, 0.5F, 1, 1.5F, 2, 2.5F}, 0);
  const std::span<const float> action = queue.take(2);
  EXPECT_EQ(std::vector<float>(action.begin(), action.end()), (std::vector<float>{2, 2.5F}));
  EXPECT_EQ(queue.n_remaining(), 0);
  EXPECT_TRUE(queue.peek(1).empty());
  EXPECT_EQ(queue.peek(2).size(), 2U);  // until the next is taken
  queue.take(3);
  EXPECT_TRUE(queue.peek(2).empty());
}

TEST(ActionQueue, GoesRoundItsRingForever) {
  ActionQueue queue(1, 3);
  for (int64_t slot = 0; slot < 1000; slot += 2) {
    const auto value = static_cast<float>(slot);
    queue.put(slot, std::vector<float>{value, value + 1}, slot);
    EXPECT_EQ(taken(queue, slot), value);
    EXPECT_EQ(taken(queue, slot + 1), value + 1);
  }
}

TEST(ActionQueue, KeepsAWholeLateChunkWithinItsRoom) {
  ActionQueue queue(1, 3);
  queue.take(9);
  EXPECT_TRUE(queue.put(5, std::vector<float>{1, 2}, 1'000'000).is_over_budget);
  EXPECT_EQ(taken(queue, 12), 2);
}

TEST(ActionQueue, ClearForgetsAll) {
  ActionQueue queue(1, 3);
  queue.put(0, std::vector<float>{1, 2, 3}, 0);
  queue.take(1);
  queue.clear();
  EXPECT_EQ(queue.n_remaining(), 0);
  EXPECT_TRUE(queue.peek(2).empty());
  queue.put(0, std::vector<float>{7}, 0);
  EXPECT_EQ(taken(queue, 0), 7);
}

}  // namespace
}  // namespace reprise
