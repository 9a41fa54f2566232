#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/token_set.h"
#include "engines/infill/canvas.h"
#include "engines/infill/infill_pass.h"
#include "policies/commit/commit_policy.h"
#include "policies/refresh/refresh_policy.h"
#include "policies/span/span_policy.h"

namespace reprise {

// What an end token among the proposals for an answer counts as.
enum class EndTokens : uint8_t {
  kAsAny,  // as any token
  kLast,   // of no confidence: behind all others of its pass, unless the rule draws
  kNever,  // it is never proposed
};

// How texts are filled. The policies are shared by all of them.
struct InfillOptions {
  std::shared_ptr<const SpanPolicy> span;
  std::shared_ptr<const CommitPolicy> commit;
  std::shared_ptr<const RefreshPolicy> refresh;
  bool stops_at_end = true;  // an answer's positions behind its end token stay unfilled
  // Source of the other two: LLaDA's confidence_eos_eot_inf (EOS alone here) and logits_eos_inf.
  EndTokens end_tokens = EndTokens::kAsAny;
  float temperature = 0;
  float top_p = 1;
  int32_t top_k = 0;
  uint64_t seed = 0;
  ggml_type cache_type = GGML_TYPE_F16;
  // Confidence from which a proposal behind the span counts as held up by the span's end, in passes
  // over all rows, which then propose for all of the gap; 0: not counted.
  float late_tau = 0;
};

// What a pass wrote.
struct Commit {
  int32_t position = 0;
  int32_t token = 0;
  float confidence = 0;
};

struct InfillStep {
  int32_t i_span = 0;
  RefreshRows rows;
  std::vector<Commit> commits;  // by position
  float best_confidence = 0;    // of the masked positions in front of the span's end
  bool is_late_known = false;   // the pass was over all rows, and positions were left behind it
  bool is_late = false;         // one of them, no end token, had late_tau at least
};

struct InfillSpan {
  int32_t first = 0;  // position
  SpanPlan plan;
  int32_t n_steps = 0;
};

// What one text took.
struct InfillReport {
  std::vector<InfillStep> steps;
  std::vector<InfillSpan> spans;
  int64_t n_rows = 0;         // token-forwards: rows computed over all passes, the tail's included
  int64_t n_rows_reused = 0;  // rows of the canvas taken from the cache over all passes
  int32_t n_full = 0;         // passes over every row
  int64_t n_plan_rows = 0;    // proposals behind the span, which its planning alone looked at
  double plan_s = 0;          // seconds of planning spans
  double commit_s = 0;        // seconds of choosing and writing commits
};

// One text on its way: what the next pass has to compute for it, and what becomes of the proposals.
class InfillSequence {
 public:
  // `delimiters` may be null where the span policy needs none; `earlier_lengths` are the spans of
  // the run that it asks for, one list a gap. Throws Error when the policies do not suit the
  // canvas.
  InfillSequence(const DecoderModel& model, Canvas canvas, int32_t end_token,
                 const InfillOptions& options, const TokenSet* delimiters,
                 std::vector<std::vector<int32_t>> earlier_lengths, const KvPlacement& placement);

  bool is_done() const { return i_gap_ == canvas_.gaps.size(); }
  // Rows and wanted proposals of the next pass; it holds until take().
  InfillRows next();
  // Plans a span if one begins, and commits. Returns whether a span has ended with it.
  bool take(std::span<const Proposal> proposals);

  const Canvas& canvas() const { return canvas_; }
  const InfillReport& report() const { return report_; }
  // Positions that the current span covers; none before it is planned.
  std::optional<Gap> current_span() const;
  // Of an answer: its tokens in front of the first end token, or of the first unfilled position.
  std::span<const int32_t> answer() const;
  int64_t n_cache_bytes() const { return cache_.n_bytes(); }

 private:
  const Gap& gap() const { return canvas_.gaps[i_gap_]; }
  void begin_gap();
  void plan(std::span<const Proposal> proposals);
  void commit(std::span<const Proposal> proposals);
  std::span<const Proposal> judged(std::span<const Proposal> rows);
  void note_late(std::span<const Proposal> behind, InfillStep& step) const;
  bool span_has(int32_t token) const;
  bool end_span();
  bool has_ended() const;

  const DecoderHparams& hp_;
  Canvas canvas_;
  int32_t end_token_;
  InfillOptions options_;
  const TokenSet* delimiters_;
  std::vector<std::vector<int32_t>> earlier_lengths_;
  CanvasCache cache_;
  ProposalRule rule_;
  SplitMix64 rng_;
  InfillReport report_;

  size_t i_gap_ = 0;
  std::unique_ptr<SpanPlanner> planner_;  // of the gap
  int32_t i_span_in_gap_ = 0;
  int32_t first_ = 0;  // of the span
  int32_t end_ = 0;    // behind it; first_ while it is not planned
  int32_t i_step_ = 0;
  int32_t n_since_full_ = 0;
  int32_t n_masked_at_start_ = 0;
  RefreshRows rows_;  // of the pass under way
  std::vector<int32_t> wanted_;
  std::vector<Proposal> judged_;  // proposals with the end tokens' confidence taken away
  int32_t behind_plan_ = 0;       // behind the positions that the pass's plan may look at or give
  std::vector<int32_t> chosen_;
};

}  // namespace reprise
