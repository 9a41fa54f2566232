#include "policies/kv/random.h"

#include <cassert>
#include <limits>

#include "policies/kv/kv_options.h"

namespace reprise {
namespace {

// The finalizer of splitmix64: every input bit reaches every output bit.
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

void RandomKv::score(const KvLayerView& layer, std::span<float> scores) const {
  const int32_t n_cand = layer.n_candidates;
  assert(scores.size() == static_cast<size_t>(n_cand) * layer.n_head_kv);
  const uint64_t of_layer = mixed(mixed(static_cast<uint64_t>(seed_)) + layer.il);
  for (int32_t g = 0; g < layer.n_head_kv; ++g) {
    const uint64_t of_head = mixed(of_layer + g);
    for (int32_t n = 0; n < n_cand; ++n) {
      // 24 bits are exact in F32.
      scores[static_cast<size_t>(g) * n_cand + n] =
          static_cast<float>(mixed(of_head + n) >> 40) * 0x1p-24F;
    }
  }
}

const PolicyEntry kRandomKv = {
    .name = "kv/random",
    .summary = "keep entries by lot",
    .source = "ours, the control of every other kv policy",
    .when_to_use = "in benches, to see what a ranking is worth",
    .when_not = "real work",
    .options = kv_options({int_option("seed", 42, 0, std::numeric_limits<int32_t>::max(),
                                      "another seed, another draw")}),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<RandomKv>(kv_plan(o), o.i32("seed"));
    }};

}  // namespace reprise
