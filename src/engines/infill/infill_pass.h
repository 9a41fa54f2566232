#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/backend.h"
#include "core/kernels/row_proposal.h"
#include "core/kv_block.h"
#include "nets/decoder_model.h"
#include "policies/refresh/refresh_policy.h"

namespace reprise {

// Keys and values of one text, every position at the slot of its own number.
class CanvasCache {
 public:
  // Throws Error when memory is short, or when `type` is no cache type for the model.
  CanvasCache(const DecoderHparams& hp, ggml_type type, int32_t n_canvas,
              const KvPlacement& placement);

  std::vector<KvBlock>& layers() { return layers_; }
  int64_t n_bytes() const { return memory_->current(); }

 private:
  std::unique_ptr<KvMemory> memory_;  // which the blocks count in
  std::vector<KvBlock> layers_;
};

// What one text takes part in a pass with.
struct InfillRows {
  std::span<const int32_t> ids;  // the whole canvas
  CanvasCache* cache = nullptr;  // of as many positions
  RefreshRows rows;              // computed; the others are taken from the cache
  // Positions, rising, that proposals are wanted for. Their rows, with shifted logits the rows
  // before them (row 0 for position 0), are computed ones.
  std::span<const int32_t> wanted;
  const ProposalRule* rule = nullptr;
  uint64_t seed = 0;  // of the pass: with a position it decides what is drawn there
};

// Passes of a masked diffusion model over rows of several texts at once. Source of the cached form:
// Fast-dLLM (arXiv 2505.22618), section 3.
class InfillPass {
 public:
  InfillPass(std::shared_ptr<const DecoderModel> model, const Backend& backend);

  const std::shared_ptr<const DecoderModel>& shared_model() const { return model_; }
  const DecoderModel& model() const { return *model_; }
  const Backend& backend() const { return backend_; }
  // Computes the rows of every text, stores their keys and values in its cache and returns its
  // proposals, text after text; they hold until the next call. Throws Error, also for a token that
  // the model does not know.
  std::span<const Proposal> compute(std::span<const InfillRows> texts);
  // The same, and the residual stream behind every layer, [n_embd, n_rows] each, and the logits
  // [n_vocab, n_wanted]: for tests.
  struct Probe {
    std::vector<std::vector<float>> hidden;
    std::vector<float> logits;
  };
  std::span<const Proposal> compute(std::span<const InfillRows> texts, Probe* probe);

 private:
  std::shared_ptr<const DecoderModel> model_;
  const Backend& backend_;
  GraphArena arena_;
  std::vector<Proposal> proposals_;
};

}  // namespace reprise
