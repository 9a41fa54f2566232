#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engines/generate/libllama_peer.h"
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
  // prefill is used again. Throws Error; what `progress` throws passes through.
  virtual void prefill(std::span<const int32_t> prompt, int32_t n_growth,
                       const PrefillProgress& progress) = 0;
  // Remembers this point for rewind().
  virtual void keep() = 0;
  // Back to where keep() was called. A policy that replaces entries while decoding goes on instead:
  // its cache is as large as before, and what it has measured cannot be put back.
  virtual void rewind() = 0;
  // Logits behind one more token, valid until the next call.
  virtual std::span<const float> decode(int32_t token) = 0;

  // Of K and V that the next token reads.
  virtual int64_t kv_read_bytes() = 0;
  // During the last prefill; after the first one it counts memory of earlier ones. 0: unknown.
  virtual int64_t peak_kv_bytes() = 0;
  // Of the last prefill's time; 0 where nothing is decided.
  virtual double policy_share() { return 0; }
  // What the peak should be by the formula of CAKE; 0 where it says nothing (spec 2.6).
  virtual int64_t peak_formula_bytes() { return 0; }
};

class ReprisePolicy final : public KvContestant {
 public:
  ReprisePolicy(std::shared_ptr<const DecoderModel> model, const Backend& backend,
                std::shared_ptr<const KvPolicy> policy)
      : model_(std::move(model)), backend_(backend), policy_(std::move(policy)) {}

  void prefill(std::span<const int32_t> prompt, int32_t n_growth,
               const PrefillProgress& progress) override;
  void keep() override;
  void rewind() override;
  std::span<const float> decode(int32_t token) override { return sequence_->decode(token); }
  int64_t kv_read_bytes() override;
  int64_t peak_kv_bytes() override { return sequence_->last_prefill().peak_kv_bytes; }
  double policy_share() override;
  int64_t peak_formula_bytes() override;

 private:
  std::shared_ptr<const DecoderModel> model_;
  const Backend& backend_;
  std::shared_ptr<const KvPolicy> policy_;
  std::optional<Sequence> sequence_;  // from the first prefill on
  SequenceState kept_;
};

class LibllamaContestant final : public KvContestant {
 public:
  // hp: of the same model, with an F16 cache.
  LibllamaContestant(LibllamaPeer& peer, const DecoderHparams& hp) : peer_(peer), hp_(hp) {}

  void prefill(std::span<const int32_t> prompt, int32_t n_growth,
               const PrefillProgress& progress) override;
  void keep() override {}
  void rewind() override { peer_.rewind(n_prompt_); }
  std::span<const float> decode(int32_t token) override { return peer_.extend({&token, 1}); }
  int64_t kv_read_bytes() override { return kv_bytes(n_prompt_); }
  // It takes room for the whole context at its start; how much in sliding-window layers is its own.
  int64_t peak_kv_bytes() override { return hp_.n_swa > 0 ? 0 : kv_bytes(peer_.n_ctx()); }

 private:
  int64_t kv_bytes(int32_t n_tokens) const;

  LibllamaPeer& peer_;
  const DecoderHparams& hp_;
  int32_t n_prompt_ = 0;
};

}  // namespace reprise
