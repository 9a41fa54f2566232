#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "policies/kv/kv_policy.h"

namespace reprise {

// A policy and the text that asked for it, as given to --kv.
struct NamedPolicy {
  std::string text;
  std::shared_ptr<const KvPolicy> policy;

  // Drops nothing, whatever comes.
  bool is_unlimited() const { return policy->plan().budget.kind == Budget::Kind::kUnlimited; }
  // Drops entries while decoding, too.
  bool replaces_in_decode() const {
    return !is_unlimited() && policy->plan().decode != KvDecode::kGrow;
  }
  // The full F16 cache, which the others are compared with.
  bool is_reference() const { return is_unlimited() && policy->plan().type == KvType::kF16; }
};

// The policies of texts as given to --kv. Throws Error.
std::vector<NamedPolicy> named_policies(std::span<const std::string> texts);

}  // namespace reprise
