#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/kernels/proposal.h"
#include "core/token_set.h"
#include "policies/policy.h"

namespace reprise {

// One request, as a planner sees it before the first pass.
struct SpanRequest {
  int32_t budget = 0;  // L: positions to fill
  // Token ids that end a semantic step; with needs_delimiters.
  const TokenSet* delimiters = nullptr;
  // What SpanNeeds::earlier_run asked for: span lengths, in order, that sum to the budget at most;
  // less where the earlier run's answer ended before.
  std::vector<int32_t> earlier_lengths = {};
  uint64_t seed = 0;
};

// The state at the start of a span, after the pass over the whole text that its planning shares.
struct SpanView {
  std::span<const Proposal> rows = {};  // of the next min(reach, n_left) positions
  int32_t n_done = 0;                   // positions in finished spans
  int32_t n_left = 0;                   // positions behind them: budget - n_done
  int32_t i_span = 0;
};

enum class SpanReason : uint8_t { kFixed, kDelimiter, kNoDelimiter, kLowConfidence };

struct SpanPlan {
  int32_t n = 0;  // positions, 1..n_left
  SpanReason reason = SpanReason::kFixed;
  int32_t i_delimiter = -1;  // row of the chosen delimiter, the last one of the span
  float confidence = 0;      // of the chosen delimiter, else of the best one
};

// Cuts one request into spans. State of a request lives here, never in the policy.
class SpanPlanner {
 public:
  virtual ~SpanPlanner() = default;
  // Positions from the span's start that plan() may look at or give, for a view without rows. May
  // exceed n_left.
  virtual int32_t reach(const SpanView& view) const = 0;
  // Throws Error on a confidence that is not finite.
  virtual SpanPlan plan(const SpanView& view) = 0;
};

// What the engine has to find out before the first span.
struct SpanNeeds {
  bool needs_delimiters = false;
  // Which delimiters, as TokenSet::parse takes them: "newline", "digit", "198+271".
  std::string delimiters = {};
  enum class EarlierRun : uint8_t {
    kNone,
    kAdaBlock,  // the same request with span/adablock and the same options
    kTop1,      // the same with one token a pass and no cache; lengths end at its delimiters
  } earlier_run = EarlierRun::kNone;
};

// Decides which positions a diffusion language model fills together.
class SpanPolicy : public Policy {
 public:
  virtual SpanNeeds needs() const { return {}; }
  // The policy of that earlier run; null where there is none, and with kTop1.
  virtual std::shared_ptr<const SpanPolicy> earlier() const { return nullptr; }
  // The length of every span but the last, when that is known beforehand; 0 otherwise.
  virtual int32_t fixed_length(int32_t /*budget*/) const { return 0; }
  virtual std::unique_ptr<SpanPlanner> begin(const SpanRequest& request) const = 0;
};

}  // namespace reprise
