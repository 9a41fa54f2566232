#include "engines/generate/cascade_prefill.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "core/kv_pages.h"
#include "core/stopwatch.h"
#include "engines/generate/chunk_pass.h"
#include "engines/generate/kv_view.h"
#include "engines/generate/prompt_attention.h"
#include "policies/kv/ranking.h"

namespace reprise {
namespace {

// First tokens of the chunks, and the end. The last chunk holds the whole window of queries.
std::vector<int32_t> chunk_bounds(int32_t n_tokens, int32_t n_window) {
  std::vector<int32_t> bounds;
  for (int32_t first = 0; first < n_tokens; first += KvStore::kMaxPass) bounds.push_back(first);
  if (bounds.size() > 1) bounds.back() = std::min(bounds.back(), n_tokens - n_window);
  bounds.push_back(n_tokens);
  return bounds;
}

// The residual stream of all tokens between two layers: [n_embd, n_tokens] F32.
class HiddenStates {
 public:
  HiddenStates(ggml_backend_buffer_type_t type, int32_t n_embd, int32_t n_tokens)
      : n_embd_(n_embd),
        buffer_(ggml_backend_buft_alloc_buffer(type, sizeof(float) * n_embd * n_tokens),
                ggml_backend_buffer_free) {
    if (buffer_ == nullptr) {
      throw Error("out of memory for the hidden states of the prompt; shorten it");
    }
  }

  ggml_tensor* view(GraphArena& arena, int32_t first, int32_t n) const {
    const size_t row = sizeof(float) * n_embd_;
    auto* base = static_cast<std::byte*>(ggml_backend_buffer_get_base(buffer_.get()));
    return arena.view(buffer_.get(), base + row * first, GGML_TYPE_F32, {n_embd_, n, 1}, row,
                      row * n);
  }

 private:
  int64_t n_embd_;
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer_;
};

class Cascade {
 public:
  Cascade(DecoderState& state, const KvPolicy& policy, const TurnBudget& budget,
          std::span<const int32_t> tokens, const PrefillProgress& progress)
      : state_(state),
        policy_(policy),
        plan_(policy.plan()),
        budget_(budget),
        tokens_(tokens),
        progress_(progress),
        n_tokens_(static_cast<int32_t>(tokens.size())),
        n_queries_(std::min(plan_.n_window, n_tokens_)),
        bounds_(chunk_bounds(n_tokens_, n_queries_)),
        hidden_(state.arena.buffer_type(), state.model->hparams().n_embd, n_tokens_) {
    int32_t n_held = 0;
    for (int32_t il = 0; il < state.kv.n_layer(); ++il) {
      if (!state.kv.shape(il).is_eligible()) continue;
      n_held = std::max(n_held, state.kv.count(il));
      const int32_t n_judged = n_held_judged(plan_, state.kv, il) + n_tokens_;
      n_candidates_.push_back(n_judged - std::min(plan_.n_window, n_judged));
      staged_shape_ = state.kv.shape(il).kv;
    }
    staging_.emplace(staged_shape_, n_held + n_tokens_, state.kv.memory());
    // Of one layer, for every candidate: the window's mean, variance and last row, the sum over all
    // queries where it is wanted, and the score, in every head; the order of the head being ranked.
    const int32_t n_most = std::ranges::max(n_candidates_);
    const int64_t n_numbers =
        (plan_.needs_prompt_attention ? 5 : 4) * int64_t{staged_shape_.n_head_kv} + 1;
    scratch_.emplace(state.kv.memory(), int64_t{sizeof(float)} * n_numbers * n_most);
    scores_.resize(static_cast<size_t>(n_most) * staged_shape_.n_head_kv);
    order_.resize(n_most);
  }

  CascadeReport run(int32_t n_growth, std::vector<float>& logits) {
    const int32_t n_layer = state_.model->hparams().n_layer;
    for (int32_t il = 0; il < n_layer; ++il) {
      if (!state_.kv.shape(il).is_eligible()) {
        run_windowed_layer(il, logits);
        continue;
      }
      n_held_ = state_.kv.count(il);
      first_entry_ = n_held_ - n_held_judged(plan_, state_.kv, il);
      PromptAttention attention(window_shape(), n_candidates_[kept_.size()],
                                state_.arena.n_threads());
      run_eligible_layer(il, attention, logits);
      const double copied_before_s = report_.copy_s;
      const Stopwatch stopwatch;
      evict(il, attention);
      report_.decide_s += attention.seconds() + stopwatch.seconds();
      report_.decide_s -= report_.copy_s - copied_before_s;
    }
    const Stopwatch stopwatch;
    settle(n_growth);
    report_.copy_s += stopwatch.seconds();
    return std::move(report_);
  }

 private:
  WindowShape window_shape() const {
    const DecoderHparams& hp = state_.model->hparams();
    return {hp.n_embd_head,      hp.n_head,  hp.n_head_kv,
            n_held_ + n_tokens_, n_queries_, hp.attn_scale};
  }

  // One chunk of one layer: from its residual stream to the next, with the entries put in `block`
  // behind span.n_held older ones.
  void run_chunk(int32_t il, size_t i_chunk, KvBlock& block, const CausalSpan& span,
                 PromptAttention* attention, std::vector<float>& logits) {
    const DecoderModel& model = *state_.model;
    const int32_t first = bounds_[i_chunk];
    const bool is_last_chunk = i_chunk + 2 == bounds_.size();
    const bool is_last_layer = il == model.hparams().n_layer - 1;
    GraphArena& arena = state_.arena;
    arena.begin();
    ggml_context* ctx = arena.ctx();
    ggml_tensor* ids = il == 0 ? arena.input(GGML_TYPE_I32, span.n_tokens) : nullptr;
    const DecoderBatch batch{arena.input(GGML_TYPE_I32, span.n_tokens)};
    ggml_tensor* stream = hidden_.view(arena, first, span.n_tokens);
    ggml_tensor* x = il == 0 ? decoder_embed(arena, model, ids) : stream;
    const DecoderQkv qkv =
        decoder_qkv(arena, model, il, decoder_products(arena, model, il, x), batch);
    block.put(arena, span.n_held, qkv.k, qkv.v);
    const bool wants_sum = attention != nullptr && plan_.needs_prompt_attention;
    ggml_tensor* head = nullptr;
    if (!is_last_layer || is_last_chunk || wants_sum) {
      const KvView view = kv_view(arena, block, span);
      const bool wants_window = attention != nullptr && plan_.needs_window_stats && is_last_chunk &&
                                n_candidates_[kept_.size()] > 0;
      const bool wants_lse = (wants_window || wants_sum) && arena.has_kernels();
      AttentionNode out = decoder_attention(
          arena, model, qkv.q, view, wants_lse ? AttentionExtra::kLse : AttentionExtra::kNone);
      if (wants_sum) attention->add_sum(arena, qkv.q, view, out.lse, first_entry_);
      if (wants_window) attention->add_window(arena, qkv.q, view, out.lse, first_entry_);
      if (is_last_layer && is_last_chunk) {
        const int64_t n_skip = span.n_tokens - 1;
        x = ggml_view_2d(ctx, x, x->ne[0], 1, x->nb[1], n_skip * x->nb[1]);
        out.out =
            ggml_view_2d(ctx, out.out, out.out->ne[0], 1, out.out->nb[1], n_skip * out.out->nb[1]);
        head = decoder_head(arena, model, decoder_layer_rest(arena, model, il, x, out.out));
        ggml_set_output(head);
        ggml_build_forward_expand(arena.graph(), head);
      } else if (!is_last_layer) {
        // Embeddings stand elsewhere; a single token's layer is one node with a stream of its own.
        const bool is_in_place = x == stream && span.n_tokens > 1;
        x = decoder_layer_rest(arena, model, il, x, out.out,
                               is_in_place ? NextStream::kInPlace : NextStream::kNew);
        ggml_build_forward_expand(arena.graph(), is_in_place ? x : ggml_cpy(ctx, x, stream));
      }
    }
    arena.allocate();
    if (ids != nullptr) {
      ggml_backend_tensor_set(ids, tokens_.data() + first, 0, ggml_nbytes(ids));
    }
    set_positions(batch.pos, state_.n_past + first);
    arena.compute();
    if (attention != nullptr) attention->measure(arena.backend());
    if (head != nullptr) {
      logits.resize(ggml_nelements(head));
      ggml_backend_tensor_get(head, logits.data(), 0, ggml_nbytes(head));
    }
    if (progress_) {
      progress_(int64_t{il} * n_tokens_ + bounds_[i_chunk + 1],
                int64_t{model.hparams().n_layer} * n_tokens_);
    }
  }

  void run_windowed_layer(int32_t il, std::vector<float>& logits) {
    const int32_t n_swa = state_.kv.shape(il).n_swa;
    for (size_t i = 0; i + 1 < bounds_.size(); ++i) {
      const int32_t n = bounds_[i + 1] - bounds_[i];
      state_.kv.make_room(il, n);
      run_chunk(il, i, state_.kv.block(il), {state_.kv.count(il), n, n_swa}, nullptr, logits);
      state_.kv.commit(il, n, state_.n_past + bounds_[i]);
    }
  }

  void run_eligible_layer(int32_t il, PromptAttention& attention, std::vector<float>& logits) {
    stage_held(il);
    for (size_t i = 0; i + 1 < bounds_.size(); ++i) {
      const CausalSpan span{n_held_ + bounds_[i], bounds_[i + 1] - bounds_[i], 0};
      run_chunk(il, i, *staging_, span, &attention, logits);
    }
  }

  // Attention wants one tensor: what earlier turns kept comes in front of the turn's own entries,
  // in the order of its positions, which candidates stand in.
  void stage_held(int32_t il) {
    if (n_held_ == 0) return;
    const size_t half = staged_shape_.row_bytes() * n_held_;
    std::vector<std::byte> rows(2 * half);
    for (int32_t g = 0; g < staged_shape_.n_head_kv; ++g) {
      state_.kv.block(il).gather(g, state_.kv.slots_by_position(il, g), rows.data(),
                                 rows.data() + half);
      staging_->scatter(g, 0, n_held_, rows.data(), rows.data() + half);
    }
  }

  // Scores the layer in staging, splits the budget anew and cuts every layer known so far. Without
  // a cascade layers stay whole, ranked, until the last one is known.
  void evict(int32_t il, PromptAttention& attention) {
    const int32_t n_candidates = n_candidates_[kept_.size()];
    const auto n_scores = static_cast<size_t>(n_candidates) * staged_shape_.n_head_kv;
    const std::span<float> scores = std::span(scores_).first(n_scores);
    const KvLayerView view{il, n_candidates, staged_shape_.n_head_kv,
                           plan_.needs_window_stats ? &attention.stats() : nullptr,
                           attention.prompt_sum()};
    // A layer without candidates was not measured, and gets none whatever it claims.
    report_.preference.push_back(n_candidates == 0 ? 1 : policy_.preference(view));
    policy_.score(view, scores);
    const auto n_known = static_cast<ptrdiff_t>(report_.preference.size());
    std::vector<int32_t> budgets(n_candidates_.begin(), n_candidates_.begin() + n_known);
    if (plan_.cascades || n_known == std::ssize(n_candidates_)) {
      if (policy_.falls_back(report_.preference)) ++report_.n_fallbacks;
      budgets = policy_.split({report_.preference, budget_.n_candidates, n_candidates,
                               static_cast<int32_t>(n_candidates_.size()), n_candidates_});
    }
    const Stopwatch cutting;
    for (size_t i = 0; i < kept_.size(); ++i) {  // what is gone stays gone
      budgets[i] = std::min(budgets[i], kept_[i].pages.n_ranked());
      kept_[i].pages.truncate(budgets[i]);
    }
    report_.copy_s += cutting.seconds();
    KvPages& pages = kept_.emplace_back(il, KvPages(staged_shape_, state_.kv.memory())).pages;
    std::vector<int32_t> window(n_held_ + n_tokens_ - first_entry_ - n_candidates);
    std::iota(window.begin(), window.end(), first_entry_ + n_candidates);
    for (int32_t g = 0; g < staged_shape_.n_head_kv; ++g) {
      const std::span<int32_t> best = std::span(order_).first(budgets.back());
      rank_candidates(scores.subspan(static_cast<size_t>(g) * n_candidates, n_candidates),
                      budgets.back(), std::span(order_).first(n_candidates));
      const Stopwatch storing;
      for (int32_t& slot : best) slot += first_entry_;
      pages.store(g, *staging_, best, window);
      report_.copy_s += storing.seconds();
    }
  }

  // Moves every layer into its final block, freeing pages on the way.
  void settle(int32_t n_growth) {
    staging_.reset();
    scratch_.reset();
    KvStore& kv = state_.kv;
    for (Kept& layer : kept_) {
      const int32_t n_held = kv.count(layer.il);
      if (n_held_judged(plan_, kv, layer.il) == 0) {
        kv.adopt(layer.il, std::move(layer.pages), state_.n_past - n_held, n_growth);
      } else {
        report_.before.emplace_back(
            layer.il, kv.detached(layer.il, std::move(layer.pages), state_.n_past, n_growth));
      }
    }
    for (auto& [il, contents] : report_.before) kv.exchange(il, contents);
    state_.n_past += n_tokens_;
  }

  struct Kept {
    Kept(int32_t layer, KvPages kept_pages) : il(layer), pages(std::move(kept_pages)) {}
    int32_t il;
    KvPages pages;
  };

  DecoderState& state_;
  const KvPolicy& policy_;
  const KvPlan plan_;
  const TurnBudget budget_;
  std::span<const int32_t> tokens_;
  const PrefillProgress& progress_;
  int32_t n_tokens_;
  int32_t n_queries_;  // of the window: a short turn has fewer than the window has entries
  std::vector<int32_t> n_candidates_ = {};  // of each eligible layer
  std::vector<int32_t> bounds_;
  HiddenStates hidden_;
  KvShape staged_shape_;
  std::optional<KvBlock> staging_;  // the current layer: [held entries, all tokens]
  std::optional<KvBytes> scratch_;
  std::vector<float> scores_;   // [most candidates, n_head_kv]
  std::vector<int32_t> order_;  // [most candidates]
  int32_t n_held_ = 0;          // older entries of the current layer
  int32_t first_entry_ = 0;     // the first of them, or behind them, that is judged
  std::vector<Kept> kept_;      // eligible layers done so far
  CascadeReport report_;
};

}  // namespace

CascadeReport cascade_prefill(DecoderState& state, const KvPolicy& policy, const TurnBudget& budget,
                              std::span<const int32_t> tokens, int32_t n_growth,
                              std::vector<float>& logits, const PrefillProgress& progress) {
  check_tokens(*state.model, tokens);
  state.reserved = {};
  return Cascade(state, policy, budget, tokens, progress).run(n_growth, logits);
}

}  // namespace reprise
