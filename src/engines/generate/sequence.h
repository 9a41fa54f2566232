#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engines/generate/chunk_pass.h"
#include "engines/generate/decode_eviction.h"
#include "engines/generate/decoder_state.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// How a turn's prompt enters the sequence.
struct PrefillOptions {
  int32_t n_growth = 0;     // entries to make room for besides the prompt's, for the answer
  int32_t n_compress = -1;  // the policy judges the first n tokens, the rest follows untouched; -1:
                            // all of them
  PrefillProgress progress =
      {};  // may be empty; may throw to stop, which leaves the sequence as before
};

// What a prefill did with the entries it judged: those of its turn, and of all earlier ones unless
// the policy judges turns alone. Summed over eligible layers.
struct PrefillReport {
  int32_t n_tokens = 0;
  int64_t n_entries_kept = 0;
  int64_t n_entries_dropped = 0;
  int64_t n_entries_before = 0;    // that earlier turns had left, judged or not
  int64_t n_entries_apart = 0;     // of those: not judged, kept as they are
  bool is_cascade = false;         // layer by layer, because the budget was binding
  std::vector<double> preference;  // of each eligible layer; empty without a cascade
  int32_t n_fallbacks = 0;         // splits of the budget that were equal for want of preferences
  std::vector<int32_t> judged;     // entries of each layer; 0: a sliding-window layer
  std::vector<int32_t> kept;       // of them
  double total_s = 0;              // seconds for the whole prefill
  double policy_s = 0;             // of them for deciding what stays, and for moving it
  double copy_s = 0;               // of those for moving it
  int64_t held_kv_bytes = 0;       // after it, of everything
  int64_t peak_kv_bytes = 0;       // during it
};

// Everything a sequence holds, to go on later.
struct SequenceState {
  int32_t n_past = 0;
  std::string cache_type;                      // "f16", "q8_0", "q4_0"
  std::vector<std::vector<std::byte>> layers;  // KvStore::save_layer
};

// One sequence of a decoder model: its KV entries, the passes that extend it, and the policy that
// decides which entries stay. Not thread-safe; several sequences may share the model and the
// backend, one at a time.
class Sequence {
 public:
  // Throws Error when the policy's cache type does not fit the model, or when the policy needs what
  // the backend's device cannot measure. The model's weights lie where the backend computes.
  Sequence(const std::shared_ptr<const DecoderModel>& model, const Backend& backend,
           std::shared_ptr<const KvPolicy> policy);

  // Appends a turn's prompt; the policy's budget binds at its end. Returns the logits [n_vocab]
  // that follow; valid until the next call. Throws Error when a token lies outside the vocabulary,
  // the budget is too small or memory is short; the sequence is then as before.
  std::span<const float> prefill(std::span<const int32_t> tokens, const PrefillOptions& options);
  const PrefillReport& last_prefill() const { return report_; }

  // Forgets the last token's entries and reads it once more, over what the policy holds:
  // prefill()'s own logits may come from entries that are gone since. For the token that the last
  // prefill() ended with, before any other call. Returns the logits that follow.
  std::span<const float> read_again(int32_t last_token);

  // Appends one generated token and returns the logits that follow. With a replacing policy the
  // cache stays at its size; otherwise it grows. Allocates nothing while there is room.
  std::span<const float> decode(int32_t token);

  // From now on what attention gives to a token read alone (decode, read_again) is kept in every
  // layer; false: no longer.
  void keep_attention(bool is_kept) { outputs_.wants_attention = is_kept; }
  // Of the last such token, [n_embd_head * n_head, n_layer]: in front of the output projection.
  std::span<const float> attention() const { return outputs_.attention; }

  // Appends tokens without any eviction and returns the logits of all of them, [n_vocab, n_tokens].
  std::span<const float> extend_all(std::span<const int32_t> tokens);

  int32_t n_past() const { return state_.n_past; }  // tokens seen, held or not
  int64_t n_evicted_in_decode() const { return n_evicted_in_decode_; }
  // Seconds spent on replacing: measuring attention, choosing and copying.
  double decode_policy_s() const { return decode_policy_s_; }
  KvStore& kv() { return state_.kv; }
  const DecoderModel& model() const { return *state_.model; }
  void clear();

  SequenceState save() const;
  // Throws Error when the state does not fit the model or the cache's type; the sequence is then as
  // before.
  void restore(const SequenceState& saved);

 private:
  void append(std::span<const int32_t> tokens, int32_t n_logits, const PrefillProgress& progress);

  DecoderState state_;
  std::shared_ptr<const KvPolicy> policy_;
  KvPlan plan_;
  std::optional<DecodeEviction> eviction_;  // while a replacing policy holds the cache at its size
  PassOutputs outputs_;
  PrefillReport report_;
  int64_t n_evicted_in_decode_ = 0;
  double decode_policy_s_ = 0;
};

}  // namespace reprise
