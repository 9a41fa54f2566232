#pragma once

#include <memory>
#include <string>

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

}  // namespace reprise
