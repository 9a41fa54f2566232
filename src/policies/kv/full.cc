#include "policies/kv/full.h"

#include <algorithm>

#include "policies/kv/kv_options.h"

namespace reprise {

void FullKv::score(const KvLayerView& /*layer*/, std::span<float> scores) const {
  std::ranges::fill(scores, 0.0F);
}

std::vector<int32_t> FullKv::split(const SplitInput& in) const {
  std::vector<int32_t> out(in.preference.size());
  for (size_t l = 0; l < out.size(); ++l) out[l] = in.cap_of(l);
  return out;
}

const PolicyEntry kFullKv = {
    .name = "kv/full",
    .summary = "keep every entry; quantised types make each one smaller",
    .source = "the transformer as it is; quantised caches as in llama.cpp",
    .when_to_use =
        "the cache fits in memory; q8_0 is about half of f16 and q4_0 a quarter, with no "
        "entry lost",
    .when_not = "long contexts, where reading the cache is what decoding costs",
    .options = {kv_type_option()},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<FullKv>(kv_type(o));
    }};

}  // namespace reprise
