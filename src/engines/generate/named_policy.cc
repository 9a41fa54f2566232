#include "engines/generate/named_policy.h"

#include "policies/registry.h"

namespace reprise {

std::vector<NamedPolicy> named_policies(std::span<const std::string> texts) {
  std::vector<NamedPolicy> policies;
  policies.reserve(texts.size());
  for (const std::string& text : texts) policies.push_back({text, make_kv_policy(text)});
  return policies;
}

}  // namespace reprise
