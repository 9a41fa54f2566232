#include "engines/generate/chunk_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>

#include "core/error.h"
#include "engines/generate/masks.h"

namespace reprise {
namespace {

// How many entries of layer il a pass finds.
using HeldEntries = int32_t (*)(const KvStore& kv, int32_t il);

// The masks of all layers of a pass. Layers may hold different numbers of entries; since everything
// held is seen by every token, a layer with fewer uses the right part of the widest mask.
class PassMasks {
 public:
  PassMasks(DecoderState& state, int32_t n_tokens, HeldEntries held) : arena_(state.arena) {
    for (int32_t il = 0; il < state.kv.n_layer(); ++il) {
      const int32_t n_swa = state.kv.shape(il).n_swa;
      MaskSpan& span = n_swa > 0 ? windowed_ : full_;
      span = {std::max(span.n_held, held(state.kv, il)), n_tokens, n_swa};
    }
    if (full_.n_tokens > 1) full_mask_ = make_mask(arena_, full_);
    if (windowed_.n_tokens > 1) windowed_mask_ = make_mask(arena_, windowed_);
  }

  ggml_tensor* of(const MaskSpan& span) const {
    if (span.n_tokens == 1) return nullptr;
    if (span.n_swa > 0) return windowed_mask_;  // all windows hold the same positions
    const int64_t n_skip = full_.n_held - span.n_held;
    if (n_skip == 0) return full_mask_;
    ggml_tensor* right = ggml_view_2d(arena_.ctx(), full_mask_, span.n_kv(), span.n_tokens,
                                      full_mask_->nb[1], n_skip * full_mask_->nb[0]);
    return ggml_cont(arena_.ctx(), right);
  }

  void fill() const {
    if (full_mask_ != nullptr && full_mask_->data != nullptr) fill_mask(full_mask_, full_);
    if (windowed_mask_ != nullptr && windowed_mask_->data != nullptr) {
      fill_mask(windowed_mask_, windowed_);
    }
  }

 private:
  GraphArena& arena_;
  MaskSpan full_;
  MaskSpan windowed_;
  ggml_tensor* full_mask_ = nullptr;
  ggml_tensor* windowed_mask_ = nullptr;
};

// The graph of a pass through all layers.
struct PassGraph {
  ggml_tensor* ids;  // [n_tokens] I32
  ggml_tensor* pos;  // [n_tokens] I32
  PassMasks masks;
  ggml_tensor* logits;  // [n_vocab, n_logits] F32; null when nobody asked for any
};

PassGraph build_pass(DecoderState& state, int32_t n_tokens, HeldEntries held,
                     PassOutputs& outputs) {
  const DecoderModel& model = *state.model;
  const int32_t n_layer = model.hparams().n_layer;
  GraphArena& arena = state.arena;
  arena.begin();
  ggml_context* ctx = arena.ctx();
  ggml_tensor* ids = arena.input(GGML_TYPE_I32, n_tokens);
  const DecoderBatch batch{arena.input(GGML_TYPE_I32, n_tokens)};
  const PassMasks masks(state, n_tokens, held);
  outputs.probs.assign(outputs.wants_probs ? n_layer : 0, nullptr);
  ggml_tensor* x = decoder_embed(ctx, model, ids);
  for (int32_t il = 0; il < n_layer; ++il) {
    const bool is_last = il == n_layer - 1;
    const MaskSpan span{held(state.kv, il), n_tokens, state.kv.shape(il).n_swa};
    KvBlock& block = state.kv.block(il);
    DecoderQkv qkv = decoder_qkv(ctx, model, il, x, batch);
    // The entries are written before they are read: the copies stand earlier in the graph.
    block.put(arena, span.n_held, qkv.k, qkv.v);
    if (is_last && outputs.n_logits == 0) break;  // only its entries are needed
    const int32_t first = span.first_slot();
    const KvView view{block.k(arena, first, span.n_kv() - first),
                      block.v(arena, first, span.n_kv() - first), masks.of(span),
                      block.is_v_transposed()};
    DecoderAttention attention = decoder_attention(ctx, model, qkv.q, view);
    if (outputs.wants_probs && span.n_swa == 0) {
      if (attention.probs == nullptr) {
        attention.probs = decoder_attention_probs(ctx, model, qkv.q, view);
      }
      ggml_set_output(attention.probs);
      ggml_build_forward_expand(arena.graph(), attention.probs);
      outputs.probs[il] = attention.probs;
    }
    if (is_last && outputs.n_logits < n_tokens) {
      // Nothing after the last attention is needed for tokens whose logits nobody asked for.
      const int64_t n_skip = n_tokens - outputs.n_logits;
      attention.out = ggml_view_2d(ctx, attention.out, attention.out->ne[0], outputs.n_logits,
                                   attention.out->nb[1], n_skip * attention.out->nb[1]);
      x = ggml_view_2d(ctx, x, x->ne[0], outputs.n_logits, x->nb[1], n_skip * x->nb[1]);
    }
    x = decoder_layer_rest(ctx, model, il, x, attention.out);
  }
  ggml_tensor* logits = nullptr;
  if (outputs.n_logits > 0) {
    logits = decoder_head(ctx, model, x);
    ggml_set_output(logits);
    ggml_build_forward_expand(arena.graph(), logits);
  }
  return {ids, batch.pos, masks, logits};
}

// Lays memory out for passes of a single token until the layers outgrow their capacity of n_slots
// in all, so that decoding takes none.
void reserve_single(DecoderState& state, int64_t n_slots, PassOutputs& outputs) {
  const ReservedPass wanted{
      outputs.wants_probs ? ReservedPass::Kind::kWithProbs : ReservedPass::Kind::kPlain, n_slots};
  if (state.reserved == wanted) return;
  state.reserved = {};
  // The largest such pass is the one that fills every layer.
  build_pass(
      state, 1, [](const KvStore& kv, int32_t il) { return kv.capacity(il) - 1; }, outputs);
  state.arena.reserve();
  state.reserved = wanted;
}

}  // namespace

size_t pass_nodes_max(const DecoderHparams& hp) {
  // A quantised cache copies K and V of each KV head apart; three tensors a copy.
  constexpr size_t kNodesALayer = 64;
  constexpr size_t kNodesAHead = 6;
  constexpr size_t kOtherNodes = 64;
  return kOtherNodes + (kNodesALayer + kNodesAHead * hp.n_head_kv) * hp.n_layer;
}

void check_tokens(const DecoderModel& model, std::span<const int32_t> tokens) {
  const int32_t n_vocab = model.hparams().n_vocab;
  for (const int32_t token : tokens) {
    if (token < 0 || token >= n_vocab) {
      throw Error(fmt::format("token {} lies outside the vocabulary of {} tokens", token, n_vocab));
    }
  }
}

void chunk_pass(DecoderState& state, std::span<const int32_t> tokens, PassOutputs& outputs) {
  const DecoderModel& model = *state.model;
  const int32_t n_layer = model.hparams().n_layer;
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  assert(n_tokens > 0 && n_tokens <= KvStore::kMaxPass && outputs.n_logits <= n_tokens);
  check_tokens(model, tokens);
  int64_t n_slots = 0;
  for (int32_t il = 0; il < n_layer; ++il) {
    state.kv.make_room(il, n_tokens);
    n_slots += state.kv.capacity(il);
  }
  if (n_tokens == 1 && outputs.n_logits == 1) {
    reserve_single(state, n_slots, outputs);
  } else {
    state.reserved = {};
  }

  const PassGraph pass = build_pass(
      state, n_tokens, [](const KvStore& kv, int32_t il) { return kv.count(il); }, outputs);
  state.arena.allocate();
  std::copy(tokens.begin(), tokens.end(), static_cast<int32_t*>(pass.ids->data));
  auto* pos = static_cast<int32_t*>(pass.pos->data);
  std::iota(pos, pos + n_tokens, state.n_past);
  pass.masks.fill();
  state.arena.compute();

  for (int32_t il = 0; il < n_layer; ++il) state.kv.commit(il, n_tokens, state.n_past);
  state.n_past += n_tokens;
  if (pass.logits == nullptr) {
    outputs.logits.clear();
    return;
  }
  const auto* data = static_cast<const float*>(pass.logits->data);
  outputs.logits.assign(data, data + ggml_nelements(pass.logits));
}

}  // namespace reprise
