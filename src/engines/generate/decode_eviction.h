#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/backend.h"
#include "core/kv_store.h"
#include "core/pool_job.h"
#include "engines/generate/turn_budget.h"
#include "ggml.h"
#include "policies/kv/kv_policy.h"
#include "policies/kv/victim.h"

namespace reprise {

// Holds the cache at its size while an answer is generated: after every decode_every steps each KV
// head of each layer drops as many entries as it got, never one of the last n_window, and none of
// an earlier turn where the policy judges turns alone. Source: CAKE's decoding stage, arXiv
// 2503.12491.
class DecodeEviction {
 public:
  // After a prefill; n_older [n_layer] counts the entries of earlier turns that are safe. The
  // threads of the backend, which must outlive this object, share the layers.
  DecodeEviction(const Backend& backend, const KvPlan& plan, const KvStore& kv,
                 std::span<const int32_t> n_older, const TurnBudget& budget);

  // After a decode pass that has appended one entry a layer; probs [n_layer] as in PassOutputs.
  // Returns the number of entries dropped, summed over layers. Allocates nothing, unless a layer of
  // the store has grown.
  int64_t step(KvStore& kv, std::span<ggml_tensor* const> probs);

 private:
  // Slots in one KV head of what is not safe, in position order (score order for kCakeOfficial),
  // the window's last.
  struct Head {
    std::vector<int32_t> order;
    std::vector<float> sums;  // [capacity] running attention, kEma alone
  };
  struct Layer {
    int32_t limit = 0;        // entries, older ones included; 0: not eligible
    int32_t n_older = 0;      // safe entries of earlier turns
    int32_t capacity = 0;     // entries there is memory for, as in the store
    int32_t n_drop = 0;       // entries of every head to drop in this step
    std::vector<Head> heads;  // [n_head_kv]
  };
  // Takes memory for as many entries as the layer of the store has slots: a budget may be far
  // larger than what ever comes.
  void fit(Layer& layer, int32_t capacity);
  // Of one thread.
  struct Scratch {
    std::vector<int32_t> victims;
    std::vector<float> values;
  };
  void step_layer(KvStore& kv, int32_t il, const ggml_tensor& probs, Scratch& scratch);
  // Drops the layer's n_drop entries of one KV head.
  void drop(KvStore& kv, int32_t il, int32_t g, const DecodeView& view, Scratch& scratch);

  KvPlan plan_;
  int32_t n_steps_ = 0;
  std::vector<Layer> layers_;
  std::optional<PoolRunner> pool_;  // of a CPU
  std::vector<Scratch> scratch_;    // [n_threads]
};

}  // namespace reprise
