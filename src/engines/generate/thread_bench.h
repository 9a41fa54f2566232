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

struct ThreadBenchOptions {
  std::vector<int32_t> contexts = {128, 2048};  // prompt tokens, rising
  std::vector<int32_t> thread_counts = {};      // rising; empty: machine_thread_counts()
  int32_t n_runs = 5;
  int32_t n_decode = 16;  // tokens of a decode run

  // Throws Error on lists that do not rise or on counts out of range.
  void check() const;
};

// The full cache and libllama (flash attention off and on) on each number of threads, at every
// context: prefill and decode. All of them take turns on pools that sleep in between. Twice as many
// threads as cores must not lose more than a tenth; on two cores the ratios are
// asked_for_4_vs_2_threads: the worst of our speeds when asked for four threads, of which two are
// started, over those on two; and oversubscribed_4_vs_2_threads: the same with four started.
// `on_turn` is told before every turn and may throw to stop. Throws Error.
BenchReport bench_threads(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
                          std::span<const int32_t> text, const ThreadBenchOptions& options,
                          const std::function<void()>& on_turn);

}  // namespace reprise
