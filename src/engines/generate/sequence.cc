#include "engines/generate/sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace reprise {
namespace {

constexpr int32_t kChunk = 512;   // tokens in one prefill pass
constexpr int32_t kGrowth = 256;  // entries by which a full cache grows

std::vector<KvLayerShape> kv_shapes(const DecoderHparams& hp) {
  return std::vector<KvLayerShape>(hp.n_layer, {hp.n_embd_head, hp.n_head_kv});
}

}  // namespace

Sequence::Sequence(std::shared_ptr<const DecoderModel> model, const Backend& backend)
    : model_(std::move(model)), arena_(backend), kv_(kv_shapes(model_->hparams())) {}

void Sequence::reserve(int32_t n_tokens) {
  for (int32_t il = 0; il < model_->hparams().n_layer; ++il) kv_.reserve(il, n_tokens);
}

void Sequence::clear() {
  kv_.clear();
  n_past_ = 0;
}

std::span<const float> Sequence::extend(std::span<const int32_t> tokens) {
  std::span<const float> logits;
  for (size_t first = 0; first < tokens.size(); first += kChunk) {
    const size_t n = std::min<size_t>(kChunk, tokens.size() - first);
    logits = pass(tokens.subspan(first, n), first + n == tokens.size() ? 1 : 0);
  }
  return logits;
}

std::span<const float> Sequence::extend_all(std::span<const int32_t> tokens) {
  std::vector<float> all;
  for (size_t first = 0; first < tokens.size(); first += kChunk) {
    const size_t n = std::min<size_t>(kChunk, tokens.size() - first);
    const std::span<const float> part = pass(tokens.subspan(first, n), static_cast<int32_t>(n));
    all.insert(all.end(), part.begin(), part.end());
  }
  logits_ = std::move(all);
  return logits_;
}

// 0 where token i of the pass (position n_past_ + i) may see position j, -inf elsewhere.
void Sequence::fill_mask(ggml_tensor* mask, int32_t n_kv, int32_t n_swa) const {
  auto* data = static_cast<float*>(mask->data);
  for (int64_t i = 0; i < mask->ne[1]; ++i) {
    const int64_t pos = n_past_ + i;
    for (int64_t j = 0; j < n_kv; ++j) {
      const bool is_seen = j <= pos && (n_swa == 0 || pos - j < n_swa);
      data[i * n_kv + j] = is_seen ? 0.0F : -std::numeric_limits<float>::infinity();
    }
  }
}

std::span<const float> Sequence::pass(std::span<const int32_t> tokens, int32_t n_outputs) {
  const DecoderHparams& hp = model_->hparams();
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  for (const int32_t token : tokens) {
    if (token < 0 || token >= hp.n_vocab) {
      throw Error(
          fmt::format("token {} lies outside the vocabulary of {} tokens", token, hp.n_vocab));
    }
  }
  const int32_t n_kv = n_past_ + n_tokens;
  if (kv_.capacity(0) < n_kv) reserve((n_kv + kGrowth - 1) / kGrowth * kGrowth);

  arena_.begin();
  ggml_context* ctx = arena_.ctx();
  ggml_tensor* ids = arena_.input(GGML_TYPE_I32, n_tokens);
  const DecoderBatch batch{arena_.input(GGML_TYPE_I32, n_tokens)};
  // One query sees exactly the last n_swa entries of a sliding-window layer: a shorter view instead
  // of a mask.
  const int32_t first_swa = n_tokens == 1 && hp.n_swa > 0 ? std::max(0, n_kv - hp.n_swa) : 0;
  const bool has_swa = n_tokens > 1 && hp.n_swa > 0 && n_kv > hp.n_swa;
  ggml_tensor* mask = n_tokens > 1 ? arena_.input(GGML_TYPE_F32, n_kv, n_tokens) : nullptr;
  ggml_tensor* mask_swa = has_swa ? arena_.input(GGML_TYPE_F32, n_kv, n_tokens) : mask;
  ggml_tensor* x = decoder_embed(ctx, *model_, ids);
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    const DecoderQkv qkv = decoder_qkv(ctx, *model_, il, x, batch);
    // The entries are written before they are read: the copies stand earlier in the graph.
    ggml_build_forward_expand(arena_.graph(), ggml_cpy(ctx, ggml_permute(ctx, qkv.k, 0, 2, 1, 3),
                                                       kv_.k(arena_, il, n_past_, n_tokens)));
    ggml_build_forward_expand(arena_.graph(), ggml_cpy(ctx, ggml_permute(ctx, qkv.v, 1, 2, 0, 3),
                                                       kv_.v(arena_, il, n_past_, n_tokens)));
    const int32_t first = hp.is_swa[il] ? first_swa : 0;
    const KvView view{kv_.k(arena_, il, first, n_kv - first),
                      kv_.v(arena_, il, first, n_kv - first), hp.is_swa[il] ? mask_swa : mask,
                      true};
    ggml_tensor* attention = decoder_attention(ctx, *model_, qkv.q, view);
    if (il == hp.n_layer - 1) {
      // Nothing after the last attention is needed for tokens whose logits nobody asked for.
      if (n_outputs == 0) {
        ggml_build_forward_expand(arena_.graph(), attention);
        break;
      }
      const int64_t skipped = n_tokens - n_outputs;
      attention = ggml_view_2d(ctx, attention, attention->ne[0], n_outputs, attention->nb[1],
                               skipped * attention->nb[1]);
      x = ggml_view_2d(ctx, x, x->ne[0], n_outputs, x->nb[1], skipped * x->nb[1]);
    }
    x = decoder_layer_rest(ctx, *model_, il, x, attention);
  }
  ggml_tensor* logits = nullptr;
  if (n_outputs > 0) {
    logits = decoder_head(ctx, *model_, x);
    ggml_set_output(logits);
    ggml_build_forward_expand(arena_.graph(), logits);
  }
  arena_.allocate();
  std::copy(tokens.begin(), tokens.end(), static_cast<int32_t*>(ids->data));
  std::iota(static_cast<int32_t*>(batch.pos->data),
            static_cast<int32_t*>(batch.pos->data) + n_tokens, n_past_);
  if (mask != nullptr && mask->data != nullptr) fill_mask(mask, n_kv, 0);
  if (has_swa && mask_swa->data != nullptr) fill_mask(mask_swa, n_kv, hp.n_swa);
  arena_.compute();

  n_past_ = n_kv;
  for (int32_t il = 0; il < hp.n_layer; ++il) kv_.set_count(il, n_kv);
  if (logits == nullptr) return {};
  const auto* data = static_cast<const float*>(logits->data);
  logits_.assign(data, data + ggml_nelements(logits));
  return logits_;
}

}  // namespace reprise
