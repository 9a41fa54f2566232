#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/bench_report.h"
#include "engines/infill/dllm_eval.h"

namespace reprise {

struct DllmBenchOptions {
  int32_t n_rounds = 5;     // of speed: one prompt of every task, one text at a time
  int32_t n_per_task = 25;  // prompts of each task for quality by span
  int32_t n_exact = 128;    // published prompts of each task, one token a pass; 0: none
  DllmEvalOptions eval;     // of all of it; published prompts take the model's own canvas
};

// Diffusion text on one backend: answers a second by method, all taking turns; passes a second
// against libllama on the same file, non-causal, over the same canvas; exact answers by span with
// the dual cache; and those of one token a pass in the setting that the model's figures were
// published for. `on_turn` is told before every turn and after every pass, and may throw to stop.
// Throws Error.
BenchReport bench_dllm(const TextModel& model, const Backend& backend,
                       const std::vector<DllmPrompt>& prompts,
                       const std::vector<DllmPrompt>& published, const DllmBenchOptions& options,
                       const std::function<void()>& on_turn);

}  // namespace reprise
