#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/kernels/window_stats.h"
#include "policies/kv/budget.h"
#include "policies/kv/split.h"
#include "policies/policy.h"

namespace reprise {

// What generated tokens do to the cache. kGrow keeps all of them; the others hold it at its size
// after prefill by dropping one entry a step, per layer and KV head, never one of the window.
enum class KvDecode : uint8_t {
  kGrow,
  kCake,          // lowest attention of the step, pooled over neighbours in position order
  kCakeOfficial,  // the same in score order, as the published code does; for parity
  kTova,          // lowest attention of the step, not pooled
  kEma,           // lowest running sum: s <- 0.98 s + attention of the step
};

// How the cache stores its values; kF32 is the reference that costs twice the memory of kF16.
enum class KvType : uint8_t { kF32, kF16, kQ8_0, kQ4_0 };

// What every KV policy has in common, read by the engine before the first layer.
struct KvPlan {
  KvType type = KvType::kF16;
  Budget budget;         // unlimited: keep everything
  int32_t n_window = 0;  // last entries of a prompt, always kept; 0 with an unlimited budget
  bool needs_window_stats = false;  // attention of the window's queries, per layer (WindowStats)
  bool needs_prompt_attention = false;  // attention of all queries, summed per key (prompt_sum)
  bool cascades = true;  // cut what is held after every layer, or after the last one alone
  KvDecode decode = KvDecode::kGrow;
  int32_t decode_every = 1;  // steps from one replacement to the next
  // Entries, window included, that an average layer holds under the smallest budget; where that is
  // less, one beside the window.
  int32_t n_least = 0;
  // The budget is for each turn's own entries and what earlier turns kept stays; otherwise it is
  // for the whole conversation, and all its entries are judged together when it is full.
  bool judges_turns_alone = false;
};

// What was measured in one layer of one turn's prefill. A candidate is an entry before the window:
// of the turn alone, or of earlier turns too; candidates stand in position order.
struct KvLayerView {
  int32_t il = 0;  // layer of the model
  int32_t n_candidates = 0;
  int32_t n_head_kv = 0;
  const WindowStats* stats = nullptr;      // with needs_window_stats
  std::span<const float> prompt_sum = {};  // with needs_prompt_attention: [n_candidates, n_head_kv]
};

// Decides which KV entries are kept. Pure: numbers in, numbers out.
class KvPolicy : public Policy {
 public:
  virtual KvPlan plan() const = 0;
  // The layer's claim on the budget (CAKE's P), >= 0.
  virtual double preference(const KvLayerView& layer) const;  // 1 unless overridden
  // Writes scores [n_candidates, n_head_kv]; the highest are kept, ties go to the lower position.
  // Throws Error on NaN.
  virtual void score(const KvLayerView& layer, std::span<float> scores) const = 0;
  // Candidates each layer known so far may keep.
  virtual std::vector<int32_t> split(const SplitInput& in) const = 0;
  // Whether split() shares equally because these preferences cannot be used. The engine counts it.
  virtual bool falls_back(std::span<const double> preference) const;  // false unless overridden
};

}  // namespace reprise
