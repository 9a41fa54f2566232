#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engines/infill/dllm_prompt.h"
#include "engines/infill/infill.h"

namespace reprise {

// A way of filling: its policies as the flags have them.
struct DllmMethod {
  std::string span;     // "fixed:len=32"
  std::string commit;   // "threshold:tau=0.9"
  std::string refresh;  // "dual"

  // "fixed:len=32 threshold:tau=0.9 dual"
  std::string name() const { return span + " " + commit + " " + refresh; }
};

// Every policy off, what others are compared with: one token a pass, nothing reused.
inline const DllmMethod kTop1Method{"fixed:len=16", "top1", "none"};

struct DllmEvalOptions {
  int32_t budget = 128;  // positions of an answer
  // Rows that every text is padded to with end tokens; 0: none, -1: as many as the model's file
  // says.
  int32_t n_canvas = -1;
  int32_t n_batch = 8;       // texts that share a pass
  bool stops_at_end = true;  // as in InfillOptions, and the next
  EndTokens end_tokens = EndTokens::kAsAny;
  float mark_tau = 0.9F;  // confidence that forced and late decoding are counted by
  float temperature = 0;
  uint64_t seed = 0;
  ggml_type cache_type = GGML_TYPE_F16;
};

// What one way made of one prompt.
struct DllmOutcome {
  DllmVerdict verdict;
  int64_t n_rows = 0;    // token-forwards, the tail's included
  int32_t n_full = 0;    // passes over every row
  int32_t n_steps = 0;   // all passes
  int32_t n_tokens = 0;  // of the answer, the end token not among them
  int32_t n_spans = 0;
  int32_t n_span_positions = 0;
  int32_t n_forced = 0;        // passes whose surest proposal was below mark_tau
  int32_t n_late = 0;          // passes that saw a sure proposal behind the span
  int32_t n_late_known = 0;    // passes that looked behind it
  int32_t n_forced_wrong = 0;  // commits below mark_tau that are not the right answer's token
  int32_t n_sure = 0;          // commits from mark_tau on, end tokens not among them
  int32_t n_sure_right = 0;    // of them the right answer's tokens
};

// One way over all prompts, in their order.
struct DllmResult {
  DllmMethod method;
  std::vector<DllmOutcome> outcomes;
  double total_s = 0;       // of everything but an earlier run
  double pass_s = 0;        // of it in passes
  int64_t n_plan_rows = 0;  // proposals that planning alone looked at
  double plan_s = 0;        // of planning spans and the bookkeeping of commits

  int64_t n_right() const;
  double mean_span() const;
  double rows_per_answer() const;
};

// Fills the answers of all prompts. Throws Error.
DllmResult evaluate_dllm(const TextModel& model, const Backend& backend, const DllmMethod& method,
                         const std::vector<DllmPrompt>& prompts, const DllmEvalOptions& options,
                         const InfillEvents& events = {});

// A prompt's canvas. Throws Error when the prompt holds the mask or the text exceeds n_canvas.
Canvas dllm_canvas(const TextModel& model, const std::string& prompt,
                   const DllmEvalOptions& options);

// The policies of a method with the options of an evaluation. Throws Error.
InfillOptions dllm_infill_options(const DllmMethod& method, const DllmEvalOptions& options);

}  // namespace reprise
