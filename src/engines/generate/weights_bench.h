#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/bench_report.h"
#include "nets/decoder_model.h"

namespace reprise {

struct WeightsBenchOptions {
  static constexpr int32_t kScoredContext = 512;

  std::vector<std::string> words = {};          // of --weights, each once; empty: all
  std::vector<int32_t> contexts = {512, 2048};  // prompt tokens, rising
  int32_t n_threads = 0;                        // 0: all usable cores
  int32_t n_runs = 5;
  int32_t n_scored_contexts = 4;  // of kScoredContext tokens, as far as the text has them

  // Throws Error on unknown words, lists that do not rise and counts out of range.
  void check() const;
};

// Prompts by each word of --weights, in turns, each on a pool of its own that sleeps in between:
// speed, bytes of copies and the time to make them; and what they do to a text: its perplexity
// against as-is, and KL against the file's own weights in F32, which round nothing else.
// `prefill_WORD_vs_as_is_N` compares run by run; `perplexity_cost_WORD` is perplexity / as-is' - 1,
// 0.002 at most. `on_turn` is told before every turn and may throw to stop. Throws Error.
BenchReport bench_weights(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
                          std::span<const int32_t> text, const WeightsBenchOptions& options,
                          const std::function<void()>& on_turn);

}  // namespace reprise
