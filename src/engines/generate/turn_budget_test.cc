#include "engines/generate/turn_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using Kind = Budget::Kind;

// Two layers that see everything, and one with a sliding window of 10.
constexpr KvShape kShape{.n_embd_head = 16, .n_head_kv = 2, .type = GGML_TYPE_F16};
constexpr int64_t kEntryBytes = 2 * 2 * 2 * 16 + 2 * 4;  // K and V of two heads, two positions
constexpr int64_t kSwaBytes = kEntryBytes * (10 + KvStore::kMaxPass);

class TurnBudgetTest : public ::testing::Test {
 protected:
  KvStore kv_{std::vector<KvLayerShape>{{kShape, 0}, {kShape, 10}, {kShape, 0}}};

  // Lets the two layers hold entries of earlier turns.
  void hold(int32_t n_first, int32_t n_last) {
    kv_.make_room(0, n_first);
    kv_.commit(0, n_first, 0);
    kv_.make_room(2, n_last);
    kv_.commit(2, n_last, 0);
  }
  static KvPlan plan(Kind kind, double value) {
    KvPlan out;
    out.budget = {kind, value};
    out.n_window = 8;
    return out;
  }
};

TEST_F(TurnBudgetTest, CountsEveryTurnByTable) {
  struct Case {
    Kind kind;
    double value;
    bool is_alone;
    int32_t n_tokens;
    bool binds;
    int64_t n_candidates;  // where it binds
    int32_t n_spare;       // where it does not
  };
  hold(30, 10);  // of 50 tokens read
  const Case cases[] = {
      {Kind::kEntries, 40, false, 20, false, 0, 0},      // 20 + 40 in two layers of 40
      {Kind::kEntries, 40, false, 21, true, 2 * 32, 0},  // windows of 8 apart
      {Kind::kEntries, 45, false, 20, false, 0, 5},
      {Kind::kEntries, 9, false, 1, true, 2, 0},
      {Kind::kEntries, 40, false, 0, false, 0, 20},  // nothing new: nothing to judge by
      {Kind::kEntries, 12, false, 0, false, 0, 0},
      {Kind::kEntries, 20, true, 20, false, 0, 0},
      {Kind::kEntries, 20, true, 21, true, 2 * 12, 0},
      {Kind::kEntries, 20, true, 8, false, 0, 12},
      {Kind::kShare, 0.5, false, 20, true, 70 - 16, 0},  // of 70 tokens
      {Kind::kShare, 0.5, true, 20, true, 20 - 16, 0},   // of 20
      {Kind::kShare, 0.01, false, 20, true, 2, 0},       // the window and one more
      {Kind::kShare, 1, false, 20, false, 0, 30},        // of all that was read
      {Kind::kBytes, kSwaBytes + 80.0 * kEntryBytes, false, 20, false, 0, 0},
      {Kind::kBytes, kSwaBytes + 80.0 * kEntryBytes - 1, false, 20, true, 79 - 16, 0},
      {Kind::kUnlimited, 0, false, 20, false, 0, 0},
  };
  for (const Case& c : cases) {
    KvPlan asked = plan(c.kind, c.value);
    asked.judges_turns_alone = c.is_alone;
    const TurnBudget got = turn_budget(asked, kv_, 50, c.n_tokens);
    const auto row = &c - cases;
    EXPECT_EQ(got.binds, c.binds) << row;
    if (c.binds) {
      EXPECT_EQ(got.n_candidates, c.n_candidates) << row;
    }
    EXPECT_EQ(got.n_spare, c.n_spare) << row;
  }
}

// The same before the first turn and behind the hundredth.
TEST_F(TurnBudgetTest, NamesTheSmallestBudgetInBytes) {
  for (int32_t turn = 0; turn < 2; ++turn) {
    KvPlan asked = plan(Kind::kBytes, kSwaBytes + 2 * 40 * kEntryBytes - 1);
    asked.n_least = 40;
    try {
      turn_budget(asked, kv_, 50, 3);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("smallest budget here is " +
                                                     std::to_string(kSwaBytes + 80 * kEntryBytes)));
    }
    asked.budget.value += 1;
    EXPECT_NO_THROW(turn_budget(asked, kv_, 50, 3));
    hold(500, 500);
  }
}

TEST_F(TurnBudgetTest, ASmallShareIsRaisedToWhatAlwaysStays) {
  KvPlan asked = plan(Kind::kShare, 0.01);
  asked.n_least = 8 + 64 + 1;
  const TurnBudget got = turn_budget(asked, kv_, 0, 1000);
  EXPECT_TRUE(got.binds);
  EXPECT_EQ(got.n_candidates, 2 * 65);
}

}  // namespace
}  // namespace reprise
