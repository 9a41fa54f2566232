#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engines/generate/sequence.h"
#include "policies/registry.h"
#include "support/tiny_model_test.h"

namespace reprise::test {

// Sequences of a tiny model under a KV policy of the registry.
class EvictingSequence : public TinyModelTest {
 protected:
  Sequence sequence(const std::string& spec) {
    return {model_, backend_, std::shared_ptr<const KvPolicy>(make_kv_policy(spec))};
  }
};

// The same for every policy that takes a budget: `spec("budget=40")` names the one at hand.
class EverySequence : public EvictingSequence, public ::testing::WithParamInterface<std::string> {
 protected:
  std::string spec(const std::string& options) const { return GetParam() + ":" + options; }
};

inline std::vector<std::string> names_of_evicting_policies() {
  std::vector<std::string> names;
  for (const PolicyEntry* entry : kv_policies_with_budget()) names.emplace_back(entry->bare_name());
  return names;
}

// The positions that KV head g of layer il holds, by slot.
inline std::vector<int32_t> positions(const KvStore& kv, int32_t il, int32_t g) {
  std::vector<int32_t> out(kv.count(il));
  for (int32_t slot = 0; slot < kv.count(il); ++slot) out[slot] = kv.position(il, g, slot);
  return out;
}

}  // namespace reprise::test
