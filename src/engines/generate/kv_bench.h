#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/bench_report.h"
#include "nets/decoder_model.h"

namespace reprise {

struct KvBenchOptions {
  std::vector<int32_t> contexts = {128, 2048, 8000};  // prompt tokens, rising
  int32_t budget = 1024;                              // entries a layer of every evicting policy
  std::vector<std::string> more_policies;             // as --kv takes them
  int32_t n_runs = 5;                                 // decode runs of everyone
  int32_t n_prefill_runs = 5;                         // prefill runs of everyone
  int32_t n_decode = 16;                              // tokens of a decode run
  int32_t n_continuation = 64;   // teacher-forced tokens for KL and top-1 agreement
  bool skips_slack = false;      // leave out policies whose budget holds the whole context
  bool has_all_policies = true;  // or one of each kind, none that replaces entries
  std::string openmp_peer = {};  // path of reprise_peer: libllama with OpenMP runs too

  static constexpr int32_t kWarmUp = 4;      // untimed tokens before a decode run
  static constexpr int32_t kTracedRuns = 5;  // of full, with a trace, at least

  // Throws Error on contexts that are empty or do not rise, and on counts out of range.
  void check() const;
};

// Told how far the bench is; each may be empty, and may throw to stop.
struct KvBenchEvents {
  std::function<void(const std::string& what, int64_t n_total)> on_begin = {};  // in tokens
  std::function<void(int64_t n_done)> on_progress = {};
  std::function<void()> on_end = {};
};

// Runs, interleaved in this process and on the backend's threads: this engine with a full cache and
// with each policy, and libllama with flash attention on and off, at every context; with OpenMP in
// processes of its own that sleep while others have their turn. `text` gives
// the tokens: the continuation is its end, the prompt what stands before it, from its end again
// when the text is too short. `path` is the model's file, for libllama. Throws Error; what the
// events throw passes through. The backend gets a trace for a while.
BenchReport bench_kv(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
                     Backend& backend, std::span<const int32_t> text, const KvBenchOptions& options,
                     const KvBenchEvents& events);

}  // namespace reprise
