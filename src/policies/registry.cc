#include "policies/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "policies/branch/bac.h"
#include "policies/branch/block_acs.h"
#include "policies/branch/full.h"
#include "policies/branch/joint.h"
#include "policies/branch/lowest_consecutive.h"
#include "policies/branch/unified.h"
#include "policies/branch/uniform.h"
#include "policies/commit/dream.h"
#include "policies/commit/factor.h"
#include "policies/commit/quota.h"
#include "policies/commit/threshold.h"
#include "policies/commit/top1.h"
#include "policies/kv/cake.h"
#include "policies/kv/full.h"
#include "policies/kv/h2o.h"
#include "policies/kv/pyramid.h"
#include "policies/kv/random.h"
#include "policies/kv/snapkv.h"
#include "policies/kv/streaming.h"
#include "policies/kv/tova.h"
#include "policies/refresh/dual.h"
#include "policies/refresh/none.h"
#include "policies/refresh/prefix.h"
#include "policies/span/adablock.h"
#include "policies/span/first_delimiter.h"
#include "policies/span/fixed.h"
#include "policies/span/oracle.h"
#include "policies/span/shuffled.h"
#include "policies/span/whole.h"
#include "policies/span/wrong_delimiter.h"

namespace reprise {
namespace {

const PolicyEntry* const kAll[] = {
    // Entries kept
    &kFullKv, &kCakeKv, &kSnapKv, &kPyramidKv, &kStreamingKv, &kH2oKv, &kTovaKv, &kRandomKv,
    // Positions filled together
    &kFixedSpan, &kWholeSpan, &kAdaBlockSpan, &kShuffledSpan, &kOracleSpan, &kFirstDelimiterSpan,
    &kWrongDelimiterSpan,
    // Proposals that become text
    &kThresholdCommit, &kFactorCommit, &kTop1Commit, &kQuotaCommit, &kDreamCommit,
    // Rows computed anew
    &kNoneRefresh, &kPrefixRefresh, &kDualRefresh,
    // Residual branches computed at a denoising step
    &kFullBranch, &kUniformBranch, &kBacBranch, &kBlockAcsBranch, &kUnifiedBranch, &kJointBranch,
    &kLowestConsecutiveBranch};

// Every entry of `kind` makes an Interface.
template <typename Interface>
std::unique_ptr<Interface> make_policy(std::string_view kind, std::string_view spec) {
  const size_t colon = spec.find(':');
  std::string_view name = spec.substr(0, colon);
  // As `reprise policies` prints it.
  if (name.starts_with(kind) && name.substr(kind.size()).starts_with('/')) {
    name.remove_prefix(kind.size() + 1);
  }
  std::vector<std::string_view> known;
  const PolicyEntry* found = nullptr;
  for (const PolicyEntry* entry : kAll) {
    if (entry->kind() != kind) continue;
    known.push_back(entry->bare_name());
    if (entry->bare_name() == name) found = entry;
  }
  if (found == nullptr) {
    throw Error(fmt::format("--{} {}: no policy '{}'{} 'reprise policies' lists all", kind, spec,
                            name, did_you_mean(name, known)));
  }
  if (colon + 1 == spec.size()) {
    throw Error(fmt::format("--{0} {1}: no option after ':', write --{0} {2} or add key=value",
                            kind, spec, name));
  }
  const std::string_view text =
      colon == std::string_view::npos ? std::string_view() : spec.substr(colon + 1);
  const Options options(fmt::format("--{} {}", kind, name), found->options, text);
  return std::unique_ptr<Interface>(static_cast<Interface*>(found->make(options).release()));
}

}  // namespace

bool PolicyEntry::has_option(std::string_view option) const {
  return std::ranges::find(options, option, &OptionSpec::name) != options.end();
}

std::span<const PolicyEntry* const> all_policies() { return kAll; }

std::vector<const PolicyEntry*> kv_policies_with_budget() {
  std::vector<const PolicyEntry*> found;
  std::ranges::copy_if(kAll, std::back_inserter(found), [](const PolicyEntry* entry) {
    return entry->kind() == "kv" && entry->has_option("budget");
  });
  return found;
}

const PolicyEntry& find_policy(std::string_view name) { return find_policy(name, kAll); }

const PolicyEntry& find_policy(std::string_view name, std::span<const PolicyEntry* const> among) {
  std::vector<const PolicyEntry*> found;
  for (const PolicyEntry* entry : among) {
    if (entry->name == name) return *entry;
    if (entry->bare_name() == name) found.push_back(entry);
  }
  if (found.size() == 1) return *found.front();
  if (found.size() > 1) {
    std::string names(found.front()->name);
    for (size_t i = 1; i < found.size(); ++i) names += fmt::format(" or {}", found[i]->name);
    throw Error(fmt::format("'{}' names {} policies, write {}", name, found.size(), names));
  }
  // A name without a kind is compared with names without kinds.
  const bool has_kind = name.find('/') != std::string_view::npos;
  std::vector<std::string_view> known;
  for (const PolicyEntry* entry : among)
    known.push_back(has_kind ? entry->name : entry->bare_name());
  throw Error(fmt::format("no policy '{}'{} 'reprise policies' lists all", name,
                          did_you_mean(name, known)));
}

std::unique_ptr<KvPolicy> make_kv_policy(std::string_view spec) {
  return make_policy<KvPolicy>("kv", spec);
}

std::unique_ptr<SpanPolicy> make_span_policy(std::string_view spec) {
  return make_policy<SpanPolicy>("span", spec);
}

std::unique_ptr<CommitPolicy> make_commit_policy(std::string_view spec) {
  return make_policy<CommitPolicy>("commit", spec);
}

std::unique_ptr<RefreshPolicy> make_refresh_policy(std::string_view spec) {
  return make_policy<RefreshPolicy>("refresh", spec);
}

std::unique_ptr<BranchPolicy> make_branch_policy(std::string_view spec) {
  return make_policy<BranchPolicy>("branch", spec);
}

}  // namespace reprise
