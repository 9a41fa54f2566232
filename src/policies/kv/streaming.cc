#include "policies/kv/streaming.h"

#include <cassert>
#include <limits>

#include "policies/kv/kv_options.h"

namespace reprise {

void StreamingKv::score(const KvLayerView& layer, std::span<float> scores) const {
  const int32_t n_cand = layer.n_candidates;
  assert(scores.size() == static_cast<size_t>(n_cand) * layer.n_head_kv);
  for (int32_t g = 0; g < layer.n_head_kv; ++g) {
    for (int32_t n = 0; n < n_cand; ++n) {
      // A position is exact in F32 up to 2^24.
      scores[static_cast<size_t>(g) * n_cand + n] =
          n < n_sink_ ? std::numeric_limits<float>::max() : static_cast<float>(n);
    }
  }
}

const PolicyEntry kStreamingKv = {
    .name = "kv/streaming",
    .summary = "keep the first entries and the most recent ones",
    .source = "StreamingLLM, arXiv 2309.17453",
    .when_to_use = "endless text of which only the recent part matters; costs nothing to decide",
    .when_not = "anything in the middle of the prompt matters",
    .options = kv_options({int_option("sink", 4, 0, 64, "first entries, always kept")}),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<StreamingKv>(kv_plan(o, o.i32("sink")), o.i32("sink"));
    }};

}  // namespace reprise
