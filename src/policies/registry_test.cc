#include "policies/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "core/error.h"
#include "policies/kv/cake.h"
#include "policies/kv/full.h"
#include "policies/span/fixed.h"

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

// Through the door of the entry's kind.
bool is_made(const PolicyEntry& entry, std::string_view spec) {
  if (entry.kind() == "kv") return make_kv_policy(spec) != nullptr;
  if (entry.kind() == "span") return make_span_policy(spec) != nullptr;
  if (entry.kind() == "commit") return make_commit_policy(spec) != nullptr;
  if (entry.kind() == "refresh") return make_refresh_policy(spec) != nullptr;
  if (entry.kind() == "branch") return make_branch_policy(spec) != nullptr;
  ADD_FAILURE() << entry.name << " is of no kind";
  return false;
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
    if (entry->bare_name() != "full") {  // of two kinds
      EXPECT_EQ(&find_policy(entry->bare_name()), entry);
    }
    std::set<std::string_view> keys;
    for (const OptionSpec& spec : entry->options) {
      EXPECT_TRUE(keys.insert(spec.name).second) << entry->name << ": " << spec.name;
      EXPECT_FALSE(spec.help.empty()) << entry->name << ": " << spec.name;
      // A default may be given as it is printed.
      const std::string given =
          std::string(entry->bare_name()) + ":" + std::string(spec.name) + "=" + spec.default_text;
      EXPECT_TRUE(is_made(*entry, given)) << given;
    }
    EXPECT_TRUE(is_made(*entry, entry->bare_name()));
    EXPECT_TRUE(is_made(*entry, entry->name));
  }
}

// A policy whose file is there but which nobody can name would be dead code: every entry that a
// header declares stands in the list.
TEST(Registry, ListsEveryEntryThatAHeaderDeclares) {
  namespace fs = std::filesystem;
  const std::regex declared("extern const PolicyEntry (k\\w+);");
  const fs::path folder = fs::path(REPRISE_SOURCE_DIR) / "src" / "policies";
  std::ifstream list(folder / "registry.cc");
  const std::string registry((std::istreambuf_iterator<char>(list)),
                             std::istreambuf_iterator<char>());
  size_t n_declared = 0;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(folder)) {
    if (file.path().extension() != ".h") continue;
    std::ifstream in(file.path());
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    for (std::sregex_iterator it(text.begin(), text.end(), declared), end; it != end; ++it) {
      ++n_declared;
      EXPECT_NE(registry.find("&" + (*it)[1].str()), std::string::npos) << file.path();
    }
  }
  EXPECT_EQ(n_declared, all_policies().size());
}

TEST(Registry, KindsStandTogether) {
  std::vector<std::string_view> kinds;
  for (const PolicyEntry* entry : all_policies()) {
    if (kinds.empty() || kinds.back() != entry->kind()) kinds.push_back(entry->kind());
  }
  EXPECT_EQ(kinds.size(), std::set(kinds.begin(), kinds.end()).size());
}

TEST(Registry, KvPoliciesWithABudgetHoldIt) {
  const std::vector<const PolicyEntry*> policies = kv_policies_with_budget();
  EXPECT_THAT(policies, ::testing::Contains(&kCakeKv));
  EXPECT_THAT(policies, ::testing::Not(::testing::Contains(&kFullKv)));
  for (const PolicyEntry* entry : policies) {
    const KvPlan plan = make_kv_policy(std::string(entry->bare_name()) + ":budget=100")->plan();
    EXPECT_EQ(plan.budget.kind, Budget::Kind::kEntries) << entry->name;
    EXPECT_EQ(plan.budget.value, 100) << entry->name;
  }
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

TEST(Registry, ABareNameOfSeveralKindsNeedsItsKind) {
  PolicyEntry of_kv = kFixedSpan;
  PolicyEntry of_span = kFixedSpan;
  of_kv.name = "kv/none";
  of_span.name = "span/none";
  const PolicyEntry& alone = kFixedSpan;
  const PolicyEntry* const entries[] = {&of_kv, &of_span, &alone};
  EXPECT_EQ(&find_policy("kv/none", entries), &of_kv);
  EXPECT_EQ(&find_policy("span/none", entries), &of_span);
  EXPECT_EQ(&find_policy("fixed", entries), &alone);
  try {
    find_policy("none", entries);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "'none' names 2 policies, write kv/none or span/none");
  }
}

TEST(Registry, RefusesAPolicyOfAnotherKind) {
  const auto fault = [](auto make, std::string_view spec) -> std::string {
    try {
      make(spec);
      return "accepted";
    } catch (const Error& e) {
      return e.what();
    }
  };
  EXPECT_EQ(fault(make_span_policy, "cake"),
            "--span cake: no policy 'cake'; 'reprise policies' lists all");
  EXPECT_EQ(fault(make_span_policy, "kv/cake:window=8"),
            "--span kv/cake:window=8: no policy 'kv/cake'; 'reprise policies' lists all");
  EXPECT_EQ(fault(make_span_policy, "fixd:len=8"),
            "--span fixd:len=8: no policy 'fixd', did you mean 'fixed'? 'reprise policies' lists "
            "all");
  EXPECT_EQ(fault(make_span_policy, "span/fixed:"),
            "--span span/fixed:: no option after ':', write --span fixed or add key=value");
  EXPECT_EQ(fault(make_commit_policy, "fixed"),
            "--commit fixed: no policy 'fixed'; 'reprise policies' lists all");
  EXPECT_EQ(fault(make_refresh_policy, "fixed"),
            "--refresh fixed: no policy 'fixed'; 'reprise policies' lists all");
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
