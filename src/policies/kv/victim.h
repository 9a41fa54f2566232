#pragma once

#include <cstdint>
#include <span>

#include "policies/kv/kv_policy.h"

namespace reprise {

// Width of the average over neighbouring candidates in the modes kCake and kCakeOfficial.
constexpr int32_t kDecodePool = 5;

// What one KV head saw in one step of decoding.
struct DecodeView {
  // Softmax of the step over all n_slots held entries, the new one included: [n_slots, n_group],
  // one row for each query head that shares the KV head.
  std::span<const float> attention;
  int32_t n_slots = 0;
  int32_t n_group = 0;
  // Slots outside the window. Their order decides who neighbours whom, and ties: kCakeOfficial
  // wants the prefill's ranking, then the generated entries as they left the window; the other
  // modes want position order.
  std::span<const int32_t> candidates;
};

// Adds the step to the running sums of kEma, one per slot: s <- 0.98 s + mean attention over the
// group. Called at every step, also where nothing is dropped. Sums start at 0 and move with their
// entries; what a dropped entry had must not pass on to the one that takes its slot. Writes
// scratch, victim_scratch(n_slots) values.
void add_attention(const DecodeView& view, std::span<float> scratch, std::span<float> sums);

// Floats that both functions need as scratch.
constexpr size_t victim_scratch(size_t n_slots) { return 3 * n_slots; }

// Writes the slots to drop, the worst first, the earlier candidate on a tie. One victim a step is
// usual; a cache that first exceeds its size drops several at once. `sums` [n_slots] is read with
// kEma only. victims.size() <= candidates.size(); the mode is not kGrow. Allocates nothing. Throws
// Error when an attention value is NaN. Source: CAKE, arXiv 2503.12491, code; TOVA, arXiv
// 2401.06104; the modes kCake and kEma are ours.
void choose_victims(KvDecode mode, const DecodeView& view, std::span<const float> sums,
                    std::span<float> scratch, std::span<int32_t> victims);

}  // namespace reprise
