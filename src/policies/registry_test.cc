#include "policies/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"

namespace reprise {
namespace {

std::string message_of(std::string_view spec) {
  try {
    make_kv_policy(spec);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Registry, EntriesAreWholeAndTheirDefaultsWork) {
  std::set<std::string_view> names;
  for (const PolicyEntry* entry : all_policies()) {
    EXPECT_TRUE(names.insert(entry->name).second) << entry->name << " stands twice";
    EXPECT_EQ(entry->name, std::string(entry->kind()) + "/" + std::string(entry->bare_name()));
    EXPECT_FALSE(entry->summary.empty() || entry->source.empty() || entry->when_to_use.empty() ||
                 entry->when_not.empty())
        << entry->name;
    EXPECT_EQ(&find_policy(entry->name), entry);
    EXPECT_EQ(&find_policy(entry->bare_name()), entry);
    std::set<std::string_view> keys;
    for (const OptionSpec& spec : entry->options) {
      EXPECT_TRUE(keys.insert(spec.name).second) << entry->name << ": " << spec.name;
      EXPECT_FALSE(spec.help.empty()) << entry->name << ": " << spec.name;
      // A default may be given as it is printed.
      const std::string given =
          std::string(entry->bare_name()) + ":" + std::string(spec.name) + "=" + spec.default_text;
      EXPECT_NE(make_kv_policy(given), nullptr) << given;
    }
  }
  EXPECT_THAT(names,
              ::testing::UnorderedElementsAre("kv/full", "kv/cake", "kv/snapkv", "kv/pyramid",
                                              "kv/streaming", "kv/h2o", "kv/tova", "kv/random"));
}

TEST(Registry, FindsByNameOrNamesTheNearest) {
  EXPECT_EQ(find_policy("kv/cake").name, "kv/cake");
  EXPECT_EQ(find_policy("tova").name, "kv/tova");
  const std::pair<const char*, const char*> cases[] = {
      {"kv/caek", "no policy 'kv/caek', did you mean 'kv/cake'? 'reprise policies' lists all"},
      {"snapvk", "no policy 'snapvk', did you mean 'snapkv'? 'reprise policies' lists all"},
      {"block/whatever", "no policy 'block/whatever'; 'reprise policies' lists all"},
      {"", "no policy ''; 'reprise policies' lists all"},
  };
  for (const auto& [name, message] : cases) {
    try {
      find_policy(name);
      ADD_FAILURE() << "found " << name;
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), message);
    }
  }
}

TEST(Registry, MakesWhatTheSpecSays) {
  const KvPlan plan = make_kv_policy("cake:budget=64MiB,window=16,decode=tova,every=8")->plan();
  EXPECT_EQ(plan.budget.kind, Budget::Kind::kBytes);
  EXPECT_EQ(plan.n_window, 16);
  EXPECT_EQ(plan.decode, KvDecode::kTova);
  EXPECT_EQ(plan.decode_every, 8);
  EXPECT_TRUE(plan.needs_window_stats);
  EXPECT_FALSE(plan.needs_prompt_attention);
  EXPECT_EQ(make_kv_policy("kv/cake:window=16")->plan().n_window, 16);
}

TEST(Registry, RefusesABadSpec) {
  EXPECT_EQ(message_of("caek:budget=64"),
            "--kv caek:budget=64: no policy 'caek', did you mean 'cake'? 'reprise policies' lists "
            "all");
  EXPECT_EQ(message_of(""), "--kv : no policy ''; 'reprise policies' lists all");
  EXPECT_EQ(message_of("cake:"),
            "--kv cake:: no option after ':', write --kv cake or add key=value");
  EXPECT_EQ(message_of("cake:budjet=1024"),
            "--kv cake:budjet=1024: no option 'budjet', did you mean 'budget'? 'reprise policies' "
            "lists all");
}

}  // namespace
}  // namespace reprise
