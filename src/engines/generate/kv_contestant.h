#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engines/generate/libllama_peer.h"
#include "engines/generate/peer_process.h"
#include "engines/generate/sequence.h"

namespace reprise {

// One side of the KV bench: this engine with one policy, or libllama with one setting. Both do the
// same with the same tokens on the same threads.
class KvContestant {
 public:
  KvContestant() = default;
  virtual ~KvContestant() = default;
  KvContestant(const KvContestant&) = delete;
  KvContestant& operator=(const KvContestant&) = delete;

  // Reads the prompt into an empty cache with room for n_growth tokens more; memory of an earlier
  // prefill is used again. Returns the seconds it took, the emptying before left out. Throws Error;
  // what `progress` throws passes through.
  virtual double prefill(std::span<const int32_t> prompt, int32_t n_growth,
                         const PrefillProgress& progress) = 0;
  // Remembers this point for rewind().
  virtual void keep() = 0;
  // Back to where keep() was called. A policy that replaces entries while decoding goes on instead:
  // its cache is as large as before, and what it has measured cannot be put back.
  virtual void rewind() = 0;
  // Logits behind one more token, valid until the next call.
  virtual std::span<const float> decode(int32_t token) = 0;
  // Whether decode() may be called: a peer in a process of its own tells times alone.
  virtual bool has_logits() const { return true; }
  // Decodes the tokens one by one. Returns the seconds it took.
  virtual double time_decode(std::span<const int32_t> tokens);
  // Called at the end of a turn: threads that would still spin for a while go to sleep.
  virtual void rest() = 0;

  // Of K and V that the next token reads.
  virtual int64_t kv_read_bytes() = 0;
  // During the last prefill; after the first one it counts memory of earlier ones. 0: unknown.
  virtual int64_t peak_kv_bytes() = 0;
  // Of the last prefill's time; 0 where nothing is decided.
  virtual double policy_share() { return 0; }
  // Of the last prefill's time: that part of policy_share() which moves what is kept.
  virtual double copy_share() { return 0; }
  // Seconds spent on replacing entries while decoding, so far; 0 where none is replaced.
  virtual double decode_policy_s() { return 0; }
  // What the peak should be: what was kept, one layer's prompt whole, 12 bytes a KV head and prompt
  // token, and one page of each KV head; 0 without a cascade.
  virtual int64_t peak_formula_bytes() { return 0; }
};

class ReprisePolicy final : public KvContestant {
 public:
  ReprisePolicy(std::shared_ptr<const DecoderModel> model, const Backend& backend,
                std::shared_ptr<const KvPolicy> policy)
      : model_(std::move(model)), backend_(backend), policy_(std::move(policy)) {}

  double prefill(std::span<const int32_t> prompt, int32_t n_growth,
                 const PrefillProgress& progress) override;
  void keep() override;
  void rewind() override;
  std::span<const float> decode(int32_t token) override { return sequence_->decode(token); }
  void rest() override { backend_.rest(); }
  int64_t kv_read_bytes() override;
  int64_t peak_kv_bytes() override { return sequence_->last_prefill().peak_kv_bytes; }
  double policy_share() override;
  double copy_share() override;
  double decode_policy_s() override;
  int64_t peak_formula_bytes() override;

 private:
  std::shared_ptr<const DecoderModel> model_;
  const Backend& backend_;
  std::shared_ptr<const KvPolicy> policy_;
  std::optional<Sequence> sequence_;  // from the first prefill on
  SequenceState kept_;
};

// libllama's F16 cache, by its sizes: it does not tell.
class LibllamaCache {
 public:
  explicit LibllamaCache(const DecoderHparams& hp) : hp_(hp) {}
  int64_t n_bytes(int32_t n_tokens) const;
  // Of a context made for n_tokens, which takes all of its room at its start, in steps of 256
  // tokens. 0: unknown, with sliding-window layers.
  int64_t context_bytes(int32_t n_tokens) const;

 private:
  const DecoderHparams& hp_;
};

class LibllamaContestant final : public KvContestant {
 public:
  // The peer computes on the backend's threads; hp: of the same model.
  LibllamaContestant(LibllamaPeer& peer, const Backend& backend, const DecoderHparams& hp)
      : peer_(peer), backend_(backend), cache_(hp) {}

  double prefill(std::span<const int32_t> prompt, int32_t n_growth,
                 const PrefillProgress& progress) override;
  void keep() override {}
  void rewind() override { peer_.rewind(n_prompt_); }
  std::span<const float> decode(int32_t token) override { return peer_.extend({&token, 1}); }
  void rest() override { backend_.rest(); }
  int64_t kv_read_bytes() override { return cache_.n_bytes(n_prompt_); }
  int64_t peak_kv_bytes() override { return cache_.context_bytes(n_room_); }

 private:
  LibllamaPeer& peer_;
  const Backend& backend_;
  LibllamaCache cache_;
  int32_t n_prompt_ = 0;
  int32_t n_room_ = 0;  // tokens that a context for this prompt alone would be made for
};

// libllama with OpenMP.
class PeerProcessContestant final : public KvContestant {
 public:
  PeerProcessContestant(PeerProcess& peer, const DecoderHparams& hp) : peer_(peer), cache_(hp) {}

  double prefill(std::span<const int32_t> prompt, int32_t n_growth,
                 const PrefillProgress& progress) override;
  void keep() override {}
  void rewind() override { peer_.rewind(n_prompt_); }
  std::span<const float> decode(int32_t /*token*/) override { return {}; }
  bool has_logits() const override { return false; }
  double time_decode(std::span<const int32_t> tokens) override { return peer_.decode(tokens); }
  void rest() override {}  // it answers when its threads sleep
  int64_t kv_read_bytes() override { return cache_.n_bytes(n_prompt_); }
  int64_t peak_kv_bytes() override { return cache_.context_bytes(n_room_); }

 private:
  PeerProcess& peer_;
  LibllamaCache cache_;
  int32_t n_prompt_ = 0;
  int32_t n_room_ = 0;  // as LibllamaContestant's
};

}  // namespace reprise
