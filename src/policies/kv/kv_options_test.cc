#include "policies/kv/kv_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "policies/registry.h"

namespace reprise {
namespace {

KvPlan plan_of(std::string_view text, int32_t n_sink = 0, int32_t n_min = 0) {
  return kv_plan(Options("--kv test", kv_options({}), text), n_sink, n_min);
}

TEST(KvOptions, DefaultsAreCakesOwn) {
  const KvPlan plan = plan_of("");
  EXPECT_EQ(plan.type, KvType::kF16);
  EXPECT_EQ(plan.budget.kind, Budget::Kind::kEntries);
  EXPECT_EQ(plan.budget.value, 1024);
  EXPECT_EQ(plan.n_window, 32);
  EXPECT_EQ(plan.decode, KvDecode::kGrow);
  EXPECT_EQ(plan.decode_every, 1);
  EXPECT_EQ(plan.n_least, 33);
  EXPECT_FALSE(plan.judges_turns_alone);
}

TEST(KvOptions, EveryNameMeansItsMode) {
  const std::pair<const char*, KvDecode> decodes[] = {{"grow", KvDecode::kGrow},
                                                      {"cake", KvDecode::kCake},
                                                      {"cake_official", KvDecode::kCakeOfficial},
                                                      {"tova", KvDecode::kTova},
                                                      {"ema", KvDecode::kEma}};
  for (const auto& [name, mode] : decodes) {
    EXPECT_EQ(plan_of(std::string("decode=") + name).decode, mode) << name;
  }
  const std::pair<const char*, KvType> types[] = {{"f16", KvType::kF16},
                                                  {"f32", KvType::kF32},
                                                  {"q8_0", KvType::kQ8_0},
                                                  {"q4_0", KvType::kQ4_0}};
  for (const auto& [name, type] : types) {
    EXPECT_EQ(plan_of(std::string("type=") + name).type, type) << name;
  }
}

TEST(KvOptions, RefuseABudgetWithoutRoom) {
  EXPECT_EQ(plan_of("budget=33").budget.value, 33);
  EXPECT_EQ(plan_of("budget=37", 4).budget.value, 37);
  EXPECT_THROW(plan_of("budget=32"), Error);
  EXPECT_THROW(plan_of("budget=36", 4), Error);
  // What bytes and shares amount to is known to the engine only.
  EXPECT_EQ(plan_of("budget=1KiB").budget.value, 1024);
  EXPECT_EQ(plan_of("budget=0.1%").budget.kind, Budget::Kind::kShare);
  try {
    plan_of("budget=36,window=32", 4);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(),
                 "--kv test: budget=36 leaves nothing beside the window of 32 entries and 4 sink "
                 "entries; raise budget to at least 37 or lower window (4 at least)");
  }
}

TEST(KvOptions, TheLeastHasPlaceForAllThatAlwaysStays) {
  EXPECT_EQ(plan_of("window=8", 4).n_least, 13);
  EXPECT_EQ(plan_of("window=8", 4, 5).n_least, 13);
  EXPECT_EQ(plan_of("window=8", 4, 30).n_least, 38);
}

TEST(KvOptions, ATurnOfItsOwnHasNoBudgetInBytes) {
  EXPECT_TRUE(plan_of("turns=each").judges_turns_alone);
  EXPECT_TRUE(plan_of("turns=each,budget=10%").judges_turns_alone);
  EXPECT_FALSE(plan_of("turns=whole,budget=1MiB").judges_turns_alone);
  EXPECT_THROW(plan_of("turns=each,budget=1MiB"), Error);
}

TEST(KvOptions, EveryEvictingPolicyRefusesTheSame) {
  for (const PolicyEntry* entry : all_policies()) {
    if (entry->kind() != "kv" || entry->name == "kv/full") continue;
    const std::string name(entry->bare_name());
    for (const char* bad : {"budget=32", "budget=31", "window=1", "window=3", "window=257",
                            "every=0", "every=1025", "decode=never", "type=q2_k"}) {
      EXPECT_THROW(make_kv_policy(name + ":" + bad), Error) << name << " " << bad;
    }
    EXPECT_EQ(make_kv_policy(name + ":budget=200,window=64,every=4")->plan().n_window, 64);
  }
}

}  // namespace
}  // namespace reprise
