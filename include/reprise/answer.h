#pragma once

#include <cstdint>
#include <string>

namespace reprise {

// Why an answer ended.
enum class FinishReason : uint8_t {
  kEndOfTurn,  // the model ended it
  kStopText,   // one of the stop texts came up
  kMaxTokens,  // it, or the context, has no more room
  kCancelled,
};

// What one answer cost and what the KV policy did for it. An entry is one token's key and value in
// one layer; layers with a sliding window are not counted, for they forget by themselves.
struct AnswerLedger {
  int32_t n_prompt_tokens = 0;  // read for this answer
  int32_t n_answer_tokens = 0;
  double prefill_s = 0;  // seconds to read the prompt
  double decode_s = 0;   // seconds to make the answer
  double policy_s = 0;   // of both, spent on deciding
  // In all layers, of prompt and answer and of what was held before them: a budget is for the whole
  // conversation, unless the policy's options say turns=each.
  int64_t n_entries_kept = 0;
  int64_t n_entries_dropped = 0;
  int64_t kv_bytes = 0;       // held now, of all turns
  int64_t peak_kv_bytes = 0;  // allocated at most during this answer
  int64_t full_kv_bytes = 0;  // what keeping every entry in 16 bits would take
};

struct Answer {
  std::string text;  // UTF-8; whole characters
  FinishReason reason = FinishReason::kEndOfTurn;
  AnswerLedger ledger;  // all 0 when it was cancelled before its first token
};

}  // namespace reprise
