#include "policies/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "policies/kv/cake.h"
#include "policies/kv/full.h"
#include "policies/kv/h2o.h"
#include "policies/kv/pyramid.h"
#include "policies/kv/random.h"
#include "policies/kv/snapkv.h"
#include "policies/kv/streaming.h"
#include "policies/kv/tova.h"

namespace reprise {
namespace {

const PolicyEntry* const kAll[] = {
    &kFullKv, &kCakeKv, &kSnapKv, &kPyramidKv, &kStreamingKv, &kH2oKv, &kTovaKv, &kRandomKv,
};

}  // namespace

std::span<const PolicyEntry* const> all_policies() { return kAll; }

const PolicyEntry& find_policy(std::string_view name) {
  const PolicyEntry* found = nullptr;
  int n_bare = 0;
  for (const PolicyEntry* entry : kAll) {
    if (entry->name == name) return *entry;
    if (entry->bare_name() == name) {
      found = entry;
      ++n_bare;
    }
  }
  if (n_bare == 1) return *found;
  // A name without a kind is compared with names without kinds.
  const bool has_kind = name.find('/') != std::string_view::npos;
  std::vector<std::string_view> known;
  for (const PolicyEntry* entry : kAll)
    known.push_back(has_kind ? entry->name : entry->bare_name());
  throw Error(fmt::format("no policy '{}'{} 'reprise policies' lists all", name,
                          did_you_mean(name, known)));
}

std::unique_ptr<KvPolicy> make_kv_policy(std::string_view spec) {
  const size_t colon = spec.find(':');
  std::string_view name = spec.substr(0, colon);
  if (name.starts_with("kv/")) name.remove_prefix(3);  // as `reprise policies` prints it
  std::vector<std::string_view> known;
  const PolicyEntry* found = nullptr;
  for (const PolicyEntry* entry : kAll) {
    if (entry->kind() != "kv") continue;
    known.push_back(entry->bare_name());
    if (entry->bare_name() == name) found = entry;
  }
  if (found == nullptr) {
    throw Error(fmt::format("--kv {}: no policy '{}'{} 'reprise policies' lists all", spec, name,
                            did_you_mean(name, known)));
  }
  if (colon + 1 == spec.size()) {
    throw Error(
        fmt::format("--kv {}: no option after ':', write --kv {} or add key=value", spec, name));
  }
  const std::string_view text =
      colon == std::string_view::npos ? std::string_view() : spec.substr(colon + 1);
  const Options options(fmt::format("--kv {}", name), found->options, text);
  // Every entry of the kind "kv" makes a KvPolicy.
  return std::unique_ptr<KvPolicy>(static_cast<KvPolicy*>(found->make(options).release()));
}

}  // namespace reprise
