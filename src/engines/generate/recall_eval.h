#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/binomial.h"
#include "engines/generate/agreement.h"
#include "engines/generate/attention_error.h"
#include "engines/generate/named_policy.h"
#include "engines/generate/recall_prompt.h"
#include "engines/generate/tokens_read.h"
#include "engines/text_model.h"

namespace reprise {

struct RecallCount {
  int64_t n = 0;
  int64_t n_right = 0;

  void add(bool is_right) {
    ++n;
    n_right += is_right ? 1 : 0;
  }
  double share() const {
    return n == 0 ? 0 : static_cast<double>(n_right) / static_cast<double>(n);
  }
};

// What one policy makes of the questions so far, in one protocol.
struct RecallRow {
  RecallProtocol protocol = RecallProtocol::kLast;
  std::string policy;
  RecallCount all;
  std::array<RecallCount, 4> by_depth;  // quartiles of the answer's place in the document
  int64_t n_lost = 0;                   // right with the first policy of the protocol alone
  int64_t n_gained = 0;                 // right with this one alone
  Agreement agreement;                  // with the full cache, over the teacher-forced answers
  AttentionError attention_error;       // likewise, before each of their tokens
  Mean held_bytes;                      // of the KV cache when the answer begins
  int64_t n_dropping = 0;               // questions of whose prompt something was dropped
  double seconds = 0;                   // for reading the prompts and answering

  // That the policy is as good as the first one of its protocol (mcnemar_p).
  double p_vs_first() const { return mcnemar_p(n_lost, n_gained); }
};

// Asks questions under several policies and protocols, and compares each with the full cache. What
// drops nothing is computed once for both protocols whose prompt is the same.
class RecallEval {
 public:
  // Throws Error without a policy or a protocol.
  RecallEval(std::shared_ptr<const TextModel> model, const Backend& backend,
             std::span<const NamedPolicy> policies, std::span<const RecallProtocol> protocols);

  // Tokens that ask() reads, as told to `read`.
  int64_t n_read(const RecallCase& asked) const;
  // Throws Error when memory is short or a budget too small; the rows then are as before, and also
  // when `read` throws.
  void ask(const RecallCase& asked, const TokensRead& read);

  // Protocol by protocol, in each in the order of the policies.
  const std::vector<RecallRow>& rows() const { return rows_; }

 private:
  // One sequence to compute for each question, and the rows that it counts for.
  struct Run {
    NamedPolicy policy;
    RecallProtocol protocol;
    std::vector<size_t> rows;
  };
  struct Answer;
  Run& run_of(const NamedPolicy& policy, RecallProtocol protocol);
  Answer answer(const Run& run, const RecallCase& asked, const TokensRead& read) const;

  std::shared_ptr<const TextModel> model_;
  const Backend& backend_;
  size_t n_policies_;
  std::vector<Run> runs_;  // the full cache's before those to be compared with it
  std::vector<RecallRow> rows_;
};

}  // namespace reprise
