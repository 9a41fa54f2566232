#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "support/evicting_sequence.h"

namespace reprise {
namespace {

using test::positions;
using ConversationBudget = test::EvictingSequence;
using ConversationBudgetOfPolicy = test::EverySequence;

// Whether a byte budget suffices is said before the first turn, not in the middle of a
// conversation.
TEST_F(ConversationBudget, InBytesIsRefusedAtOnceOrNever) {
  load({});
  const int64_t entry_bytes =
      7 * KvLayerShape{{16, 2, GGML_TYPE_F16}, 0}.entry_bytes();  // in all layers
  const auto budget = [&](int32_t n_entries) {
    return fmt::format("{:.10f}KiB", static_cast<double>(entry_bytes * n_entries) / 1024);
  };
  // 16 in the window, 4 sinks and one more.
  const std::pair<const char*, int32_t> cases[] = {{"streaming:sink=4", 21},
                                                   {"cake:sink=4", 21},
                                                   {"cake:sink=4,min=30", 46},
                                                   {"snapkv:type=f16", 17}};
  for (const auto& [policy, n_least] : cases) {
    const auto spec = [&, &policy = policy](int32_t n) {
      return std::string(policy) + ",window=16,budget=" + budget(n);
    };
    Sequence small = sequence(spec(n_least - 1));
    try {
      small.prefill(tokens(3, 1), {});
      FAIL() << policy << ": a budget without room for the window was accepted";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("smallest budget here is " +
                                                     std::to_string(entry_bytes * n_least)));
    }
    EXPECT_EQ(small.n_past(), 0);
    Sequence ours = sequence(spec(n_least));
    for (uint32_t turn = 1; turn <= 5; ++turn) {
      EXPECT_NO_THROW(ours.prefill(tokens(turn == 1 ? 100 : 3, turn), {})) << policy;
    }
  }
}

int64_t n_held(Sequence& sequence) {
  int64_t sum = 0;
  for (int32_t il = 0; il < sequence.kv().n_layer(); ++il) {
    if (sequence.kv().shape(il).is_eligible()) sum += sequence.kv().count(il);
  }
  return sum;
}

// One budget, whatever its unit, for a conversation that never ends: long turns, short ones, and
// such of a single token.
TEST_P(ConversationBudgetOfPolicy, HoldsForEveryTurn) {
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch, .n_layer = 8});
    Sequence probe = sequence("full");
    int64_t n_eligible = 0;
    int64_t swa_bytes = 0;
    for (int32_t il = 0; il < 8; ++il) {
      const KvLayerShape& shape = probe.kv().shape(il);
      n_eligible += shape.is_eligible() ? 1 : 0;
      if (!shape.is_eligible()) swa_bytes += shape.entry_bytes() * (shape.n_swa + 512);
    }
    const int64_t entry_bytes = probe.kv().shape(0).entry_bytes();
    const int64_t n_kib = (swa_bytes + entry_bytes * n_eligible * 60 + 1023) / 1024;
    for (const std::string& budget : {std::to_string(n_kib) + "KiB", std::string("60")}) {
      for (const char* decode : {"grow", "tova", "cake", "cake_official", "ema"}) {
        Sequence ours = sequence(spec("window=8,budget=" + budget + ",decode=" + decode));
        const int64_t n_most =
            budget == "60" ? 60 * n_eligible : (n_kib * 1024 - swa_bytes) / entry_bytes;
        int64_t n_before = 0;
        for (uint32_t turn = 0; turn < 12; ++turn) {
          constexpr int32_t kLengths[] = {40, 7, 1, 100, 3, 30};
          const int32_t n_turn = kLengths[turn % 6];
          ours.prefill(tokens(n_turn, 60 + turn), {.n_growth = 10});
          // Nothing is thrown away that there is place for.
          ASSERT_EQ(n_held(ours), std::min(n_most, n_before + n_eligible * n_turn))
              << arch << " " << budget << " " << decode << " turn " << turn;
          for (int32_t il = 0; il < 8; ++il) {
            for (int32_t g = 0; g < 2 && ours.kv().shape(il).is_eligible(); ++g) {
              const std::vector<int32_t> held = positions(ours.kv(), il, g);
              const std::set<int32_t> distinct(held.begin(), held.end());
              ASSERT_EQ(distinct.size(), held.size());
              for (int32_t back = 1; back <= std::min(8, ours.n_past()); ++back) {
                ASSERT_TRUE(distinct.contains(ours.n_past() - back)) << back;
              }
            }
          }
          for (const int32_t token : tokens(10, 90 + turn)) {
            for (const float logit : ours.decode(token)) ASSERT_TRUE(std::isfinite(logit));
          }
          if (std::string(decode) != "grow") {
            ASSERT_LE(n_held(ours), n_most) << arch << " " << decode << " turn " << turn;
          }
          n_before = n_held(ours);
        }
      }
    }
  }
}

// With turns=each, earlier turns keep what they had, entry for entry.
TEST_P(ConversationBudgetOfPolicy, OfTurnsOfTheirOwnAddsUp) {
  load({});
  Sequence ours = sequence(spec("window=8,budget=30,turns=each"));
  std::vector<int32_t> before;
  for (uint32_t turn = 0; turn < 4; ++turn) {
    ours.prefill(tokens(50, turn), {});
    EXPECT_EQ(n_held(ours), int64_t{7} * 30 * (turn + 1));
    std::vector<int32_t> now = positions(ours.kv(), 2, 1);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), now.begin()));
    before = now;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, ConversationBudgetOfPolicy,
                         ::testing::ValuesIn(test::names_of_evicting_policies()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace reprise
