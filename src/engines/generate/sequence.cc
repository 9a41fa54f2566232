#include "engines/generate/sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "engines/generate/cascade_prefill.h"
#include "engines/generate/turn_budget.h"

namespace reprise {
namespace {

ggml_type to_ggml(KvType type) {
  switch (type) {
    case KvType::kF32:
      return GGML_TYPE_F32;
    case KvType::kF16:
      return GGML_TYPE_F16;
    case KvType::kQ8_0:
      return GGML_TYPE_Q8_0;
    case KvType::kQ4_0:
      return GGML_TYPE_Q4_0;
  }
  return GGML_TYPE_F16;
}

std::vector<KvLayerShape> kv_shapes(const DecoderHparams& hp, KvType type) {
  std::vector<KvLayerShape> shapes;
  shapes.reserve(hp.n_layer);
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    shapes.push_back({{hp.n_embd_head, hp.n_head_kv, to_ggml(type)}, hp.is_swa[il] ? hp.n_swa : 0});
  }
  return shapes;
}

// ggml's own attention keeps no probabilities, so that nothing can be measured while it runs.
void check_plan_without_kernels(const KvPlan& plan) {
  if (plan.decode != KvDecode::kGrow && plan.budget.kind != Budget::Kind::kUnlimited) {
    throw Error(
        "the KV policy replaces entries while it decodes, which needs our kernels; use decode=grow "
        "or --device cpu");
  }
  if (plan.needs_prompt_attention) {
    throw Error(
        "the KV policy adds up the attention of the whole prompt, which needs our kernels; use "
        "cake, snapkv, pyramid or streaming, or --device cpu");
  }
}

// Puts a sequence back to where it was when a prefill fails half-way.
class Rollback {
 public:
  explicit Rollback(DecoderState& state) : state_(state), n_past_(state.n_past) {
    for (int32_t il = 0; il < state.kv.n_layer(); ++il) {
      counts_.push_back(state.kv.count(il));
      if (state.kv.shape(il).n_swa > 0) windows_.push_back({il, state.kv.save_layer(il)});
    }
  }
  ~Rollback() {
    if (is_done_) return;
    state_.n_past = n_past_;
    for (auto& [il, contents] : before_) state_.kv.exchange(il, contents);
    for (const auto& [il, bytes] : windows_) state_.kv.restore_layer(il, bytes);
    for (int32_t il = 0; il < state_.kv.n_layer(); ++il) {
      if (state_.kv.shape(il).n_swa == 0) state_.kv.truncate(il, counts_[il]);
    }
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  // Layers with other contents now: what they held.
  void keep(std::vector<std::pair<int32_t, KvStore::Detached>> before) {
    before_ = std::move(before);
  }
  void dismiss() {
    is_done_ = true;
    before_.clear();
  }

 private:
  DecoderState& state_;
  int32_t n_past_;
  std::vector<int32_t> counts_;
  std::vector<std::pair<int32_t, std::vector<std::byte>>> windows_;  // they forget as they go
  std::vector<std::pair<int32_t, KvStore::Detached>> before_;
  bool is_done_ = false;
};

}  // namespace

Sequence::Sequence(const std::shared_ptr<const DecoderModel>& model, const Backend& backend,
                   std::shared_ptr<const KvPolicy> policy)
    : state_{model, GraphArena(backend, pass_nodes_max(model->hparams())),
             KvStore(kv_shapes(model->hparams(), policy->plan().type), backend.kv_placement())},
      policy_(std::move(policy)),
      plan_(policy_->plan()) {
  if (!backend.has_kernels()) check_plan_without_kernels(plan_);
}

void Sequence::clear() {
  state_.kv.clear();
  state_.n_past = 0;
  eviction_.reset();
}

SequenceState Sequence::save() const {
  SequenceState saved;
  saved.n_past = state_.n_past;
  saved.cache_type = ggml_type_name(to_ggml(plan_.type));
  for (int32_t il = 0; il < state_.kv.n_layer(); ++il) {
    saved.layers.push_back(state_.kv.save_layer(il));
  }
  return saved;
}

void Sequence::restore(const SequenceState& saved) {
  KvStore& kv = state_.kv;
  const char* type = ggml_type_name(to_ggml(plan_.type));
  if (saved.cache_type != type) {
    throw Error(fmt::format("the saved KV cache is {}, this one {}; start with type={}",
                            saved.cache_type, type, saved.cache_type));
  }
  if (static_cast<int32_t>(saved.layers.size()) != kv.n_layer() || saved.n_past < 0) {
    throw Error(fmt::format("the saved KV cache has {} layers and {} tokens, the model {} layers",
                            saved.layers.size(), saved.n_past, kv.n_layer()));
  }
  const SequenceState before = save();
  try {
    for (int32_t il = 0; il < kv.n_layer(); ++il) kv.restore_layer(il, saved.layers[il]);
  } catch (const Error&) {
    for (int32_t il = 0; il < kv.n_layer(); ++il) kv.restore_layer(il, before.layers[il]);
    throw;
  }
  state_.n_past = saved.n_past;
  eviction_.reset();
}

void Sequence::append(std::span<const int32_t> tokens, int32_t n_logits,
                      const PrefillProgress& progress) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  const int32_t n_layer = state_.model->hparams().n_layer;
  for (int32_t first = 0; first < n_tokens; first += KvStore::kMaxPass) {
    const int32_t n = std::min(KvStore::kMaxPass, n_tokens - first);
    outputs_.n_logits = first + n == n_tokens ? n_logits : 0;
    outputs_.wants_probs = false;
    chunk_pass(state_, tokens.subspan(first, n), outputs_);
    if (progress) progress(int64_t{first + n} * n_layer, int64_t{n_tokens} * n_layer);
  }
}

std::span<const float> Sequence::prefill(std::span<const int32_t> tokens,
                                         const PrefillOptions& options) {
  if (tokens.empty()) throw Error("the prompt is empty; give at least one token");
  const auto start = std::chrono::steady_clock::now();
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  const int32_t n_judged =
      options.n_compress < 0 ? n_tokens : std::min(options.n_compress, n_tokens);
  check_tokens(*state_.model, tokens);
  KvStore& kv = state_.kv;
  TurnBudget budget = turn_budget(plan_, kv, state_.n_past, n_judged);
  budget.n_spare = std::max(0, budget.n_spare - (n_tokens - n_judged));
  kv.memory().reset_peak();
  report_ = {};
  report_.n_tokens = n_tokens;
  report_.judged.assign(kv.n_layer(), 0);
  std::vector<int32_t> n_apart(kv.n_layer());
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    if (!kv.shape(il).is_eligible()) continue;
    const int32_t n_held = n_held_judged(plan_, kv, il);
    n_apart[il] = kv.count(il) - n_held;
    report_.judged[il] = n_held + n_tokens;
    report_.n_entries_before += kv.count(il);
    report_.n_entries_apart += n_apart[il];
  }
  Rollback rollback(state_);
  const bool replaces =
      plan_.decode != KvDecode::kGrow && plan_.budget.kind != Budget::Kind::kUnlimited;
  int32_t n_spare = std::max(options.n_growth, plan_.decode_every);
  if (replaces) {  // an answer of any length takes no more than what the budget leaves
    n_spare = plan_.decode_every + std::min(n_spare - plan_.decode_every, budget.n_spare);
  }
  if (budget.binds) {
    CascadeReport cascade =
        cascade_prefill(state_, *policy_, budget, tokens.first(n_judged),
                        n_tokens - n_judged + n_spare, outputs_.copied, options.progress);
    outputs_.logits = outputs_.copied;
    report_.is_cascade = true;
    rollback.keep(std::move(cascade.before));
    report_.preference = std::move(cascade.preference);
    report_.n_fallbacks = cascade.n_fallbacks;
    report_.policy_s = cascade.decide_s + cascade.copy_s;
    report_.copy_s = cascade.copy_s;
    if (n_judged < n_tokens) append(tokens.subspan(n_judged), 1, nullptr);
  } else {
    for (int32_t il = 0; il < kv.n_layer(); ++il) {
      kv.reserve(il, kv.count(il) + n_tokens + n_spare);
    }
    append(tokens, 1, options.progress);
  }
  rollback.dismiss();
  report_.kept.assign(kv.n_layer(), 0);
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    if (!kv.shape(il).is_eligible()) continue;
    report_.kept[il] = kv.count(il) - n_apart[il];
    report_.n_entries_kept += report_.kept[il];
    report_.n_entries_dropped += report_.judged[il] - report_.kept[il];
  }
  report_.held_kv_bytes = kv.n_held_bytes();
  report_.peak_kv_bytes = kv.memory().peak();
  report_.total_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  eviction_.reset();
  if (replaces) eviction_.emplace(state_.arena.backend(), plan_, kv, n_apart, budget);
  return outputs_.logits;
}

std::span<const float> Sequence::read_again(int32_t last_token) {
  if (state_.n_past == 0) throw Error("no token was read that could be read again");
  check_tokens(*state_.model, std::span(&last_token, 1));
  KvStore& kv = state_.kv;
  // A prefill leaves its last token in the last slot of every layer and head.
  for (int32_t il = 0; il < kv.n_layer(); ++il) kv.truncate(il, kv.count(il) - 1);
  --state_.n_past;
  append(std::span(&last_token, 1), 1, nullptr);
  return outputs_.logits;
}

std::span<const float> Sequence::decode(int32_t token) {
  outputs_.n_logits = 1;
  outputs_.wants_probs = eviction_.has_value();
  chunk_pass(state_, std::span(&token, 1), outputs_);
  if (eviction_) {
    const auto start = std::chrono::steady_clock::now();
    n_evicted_in_decode_ += eviction_->step(state_.kv, outputs_.probs);
    decode_policy_s_ +=
        outputs_.probs_s +
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return outputs_.logits;
}

std::span<const float> Sequence::extend_all(std::span<const int32_t> tokens) {
  std::vector<float> all;
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  for (int32_t first = 0; first < n_tokens; first += KvStore::kMaxPass) {
    const int32_t n = std::min(KvStore::kMaxPass, n_tokens - first);
    append(tokens.subspan(first, n), n, nullptr);
    all.insert(all.end(), outputs_.logits.begin(), outputs_.logits.end());
  }
  outputs_.copied = std::move(all);
  outputs_.logits = outputs_.copied;
  return outputs_.logits;
}

}  // namespace reprise
