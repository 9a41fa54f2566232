#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "policies/branch/branch_policy.h"
#include "policies/commit/commit_policy.h"
#include "policies/kv/kv_policy.h"
#include "policies/options.h"
#include "policies/refresh/refresh_policy.h"
#include "policies/span/span_policy.h"

namespace reprise {

// All there is to know about a policy besides its code; `reprise policies`, the documentation and
// the parser read it here and nowhere else.
struct PolicyEntry {
  std::string_view name;  // "kv/cake": the kind is also the folder and the flag, --kv cake
  std::string_view summary;
  std::string_view source;  // paper or origin
  std::string_view when_to_use;
  std::string_view when_not;
  std::vector<OptionSpec> options;
  // Throws Error on options that do not go together.
  std::unique_ptr<Policy> (*make)(const Options&);

  std::string_view kind() const { return name.substr(0, name.find('/')); }
  std::string_view bare_name() const { return name.substr(name.find('/') + 1); }
  bool has_option(std::string_view option) const;
};

// Every policy, in the order in which they are listed.
std::span<const PolicyEntry* const> all_policies();

// The KV policies that hold a budget, in that order.
std::vector<const PolicyEntry*> kv_policies_with_budget();

// The entry called "kv/cake", or "cake" where only one kind has it. Throws Error with the nearest
// name, or with the kinds that have it.
const PolicyEntry& find_policy(std::string_view name);
const PolicyEntry& find_policy(std::string_view name, std::span<const PolicyEntry* const> among);

// Makes the policy of "NAME" or "NAME:key=value,key=value", the value of the kind's flag (--kv,
// --span, --commit, --refresh, --branch); NAME is "cake" or "kv/cake". Throws Error that names the
// flag, the key and what is allowed.
std::unique_ptr<KvPolicy> make_kv_policy(std::string_view spec);
std::unique_ptr<SpanPolicy> make_span_policy(std::string_view spec);
std::unique_ptr<CommitPolicy> make_commit_policy(std::string_view spec);
std::unique_ptr<RefreshPolicy> make_refresh_policy(std::string_view spec);
std::unique_ptr<BranchPolicy> make_branch_policy(std::string_view spec);

}  // namespace reprise
