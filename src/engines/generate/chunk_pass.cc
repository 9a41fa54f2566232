#include "engines/generate/chunk_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engines/generate/kv_view.h"

namespace reprise {
namespace {

// How many entries of layer il a pass finds.
using HeldEntries = int32_t (*)(const KvStore& kv, int32_t il);

// The graph of a pass through all layers.
struct PassGraph {
  ggml_tensor* ids;           // [n_tokens] I32
  ggml_tensor* pos;           // [n_tokens] I32
  ggml_tensor* logits;        // [n_vocab, n_logits] F32; null when nobody asked for any
  std::vector<KvView> views;  // [n_layer] what a single token sees; empty for more of them
  std::vector<AttentionNode> attention;  // [n_layer]
};

// The memory of what attention gives is not taken over by later nodes.
void keep_output(const AttentionNode& attention) {
  ggml_set_output(attention.out);
  if (attention.out->view_src != nullptr) ggml_set_output(attention.out->view_src);
}

PassGraph build_pass(DecoderState& state, int32_t n_tokens, HeldEntries held,
                     PassOutputs& outputs) {
  const DecoderModel& model = *state.model;
  const int32_t n_layer = model.hparams().n_layer;
  GraphArena& arena = state.arena;
  arena.begin();
  ggml_context* ctx = arena.ctx();
  ggml_tensor* ids = arena.input(GGML_TYPE_I32, n_tokens);
  const DecoderBatch batch{arena.input(GGML_TYPE_I32, n_tokens)};
  outputs.probs.assign(outputs.wants_probs ? n_layer : 0, nullptr);
  const bool is_single = n_tokens == 1 && arena.has_kernels();
  const DecoderTurns turns = is_single ? decoder_turns(arena, model, batch.pos) : DecoderTurns{};
  std::vector<KvView> views;
  std::vector<AttentionNode> attentions;
  ggml_tensor* x = decoder_embed(arena, model, ids);
  for (int32_t il = 0; il < n_layer; ++il) {
    const bool is_last = il == n_layer - 1;
    const int32_t n_swa = state.kv.shape(il).n_swa;
    const int32_t n_held = held(state.kv, il);
    KvBlock& block = state.kv.block(il);
    const KvView view = kv_view(arena, block, {n_held, n_tokens, n_swa});
    const bool wants_probs = outputs.wants_probs && n_swa == 0;
    const AttentionExtra extra = wants_probs ? AttentionExtra::kProbs : AttentionExtra::kNone;
    const DecoderProducts products = decoder_products(arena, model, il, x);
    AttentionNode attention;
    if (is_single) {
      views.push_back(view);
      attention = decoder_token_attention(arena, model, il, products, turns, view, extra);
      if (is_last && outputs.n_logits == 0) {  // only its entry is needed
        ggml_build_forward_expand(arena.graph(), attention.out);
        break;
      }
    } else {
      const DecoderQkv qkv = decoder_qkv(arena, model, il, products, batch);
      // The entries are written before they are read: the copies stand earlier in the graph.
      block.put(arena, n_held, qkv.k, qkv.v);
      if (is_last && outputs.n_logits == 0) break;  // only its entries are needed
      attention = decoder_attention(arena, model, qkv.q, view, extra);
    }
    attentions.push_back(attention);
    if (outputs.wants_attention && n_tokens == 1) keep_output(attention);
    if (wants_probs) {
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
    x = decoder_layer_rest(arena, model, il, x, attention.out);
  }
  ggml_tensor* logits = nullptr;
  if (outputs.n_logits > 0) {
    logits = decoder_head(arena, model, x);
    ggml_set_output(logits);
    ggml_build_forward_expand(arena.graph(), logits);
  }
  return {ids, batch.pos, logits, std::move(views), std::move(attentions)};
}

void copy_attention(const AttentionNode& attention, int32_t il, PassOutputs& outputs) {
  const auto n = static_cast<size_t>(ggml_nelements(attention.out));
  outputs.attention.resize(std::max(outputs.attention.size(), n * (il + 1)));
  ggml_backend_tensor_get(attention.out, outputs.attention.data() + n * il, 0, n * sizeof(float));
}

// Lays memory out for passes of a single token until the layers outgrow their capacity,
// so that decoding takes none.
void reserve_single(DecoderState& state, PassOutputs& outputs) {
  int64_t n_slots = 0;
  for (int32_t il = 0; il < state.kv.n_layer(); ++il) n_slots += state.kv.capacity(il);
  const ReservedPass wanted{
      outputs.wants_probs ? ReservedPass::Kind::kWithProbs : ReservedPass::Kind::kPlain,
      outputs.wants_attention, n_slots};
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

void set_positions(ggml_tensor* pos, int32_t first) {
  std::array<int32_t, KvStore::kMaxPass> values;
  std::iota(values.begin(), values.begin() + pos->ne[0], first);
  ggml_backend_tensor_set(pos, values.data(), 0, ggml_nbytes(pos));
}

namespace {

// What a single token sees of layer il, its own entry included.
SeenSlots token_slots(KvStore& kv, int32_t il) {
  return seen_slots(kv.block(il), {kv.count(il), 1, kv.shape(il).n_swa});
}

bool serves(const TokenGraph& graph, DecoderState& state, const PassOutputs& outputs) {
  if (graph.n_begun != state.arena.n_begun() || graph.trace != state.arena.trace() ||
      graph.wants_probs != outputs.wants_probs ||
      graph.wants_attention != outputs.wants_attention) {
    return false;
  }
  for (int32_t il = 0; il < state.kv.n_layer(); ++il) {
    if (token_slots(state.kv, il).n > graph.layers[il].n_kv_most) return false;
  }
  return true;
}

// For layers that are full: no token finds a larger pass until one of them grows.
void build_token_graph(DecoderState& state, PassOutputs& outputs) {
  TokenGraph& graph = state.token;
  graph.n_begun = -1;
  graph.layers.assign(state.kv.n_layer(), {});
  const PassGraph pass = build_pass(
      state, 1, [](const KvStore& kv, int32_t il) { return kv.capacity(il) - 1; }, outputs);
  state.arena.reserve();
  state.arena.allocate();
  for (int32_t il = 0; il < state.kv.n_layer(); ++il) {
    TokenGraph::Layer& layer = graph.layers[il];
    layer.k = pass.views[il].k;
    layer.v = pass.views[il].v;
    layer.n_kv_most = static_cast<int32_t>(layer.k->ne[1]);
    layer.attention = pass.attention[il];
  }
  graph.ids = pass.ids;
  graph.pos = pass.pos;
  graph.logits = pass.logits;
  graph.wants_probs = outputs.wants_probs;
  graph.wants_attention = outputs.wants_attention;
  graph.trace = state.arena.trace();
  graph.n_begun = state.arena.n_begun();
}

void show_entries(DecoderState& state, PassOutputs& outputs) {
  outputs.probs.assign(outputs.wants_probs ? state.kv.n_layer() : 0, nullptr);
  for (int32_t il = 0; il < state.kv.n_layer(); ++il) {
    const TokenGraph::Layer& layer = state.token.layers[il];
    const SeenSlots seen = token_slots(state.kv, il);
    state.kv.block(il).show(layer.k, layer.v, seen.first, seen.n);
    ggml_tensor* probs = layer.attention.probs;
    if (probs == nullptr) continue;
    probs->ne[0] = seen.n;
    probs->nb[1] = probs->nb[2] = sizeof(float) * seen.n;
    outputs.probs[il] = probs;
  }
}

void read_attention(DecoderState& state, PassOutputs& outputs) {
  outputs.probs_s = 0;
  for (int32_t il = 0; il < state.kv.n_layer(); ++il) {
    const AttentionNode& attention = state.token.layers[il].attention;
    if (attention.probs_s != nullptr) {
      outputs.probs_s +=
          *std::max_element(attention.probs_s, attention.probs_s + state.arena.n_threads());
    }
    if (outputs.wants_attention) copy_attention(attention, il, outputs);
  }
}

// A single token with its logits, in room that make_room() has made. The graph is built for the
// first of many: building it anew for each would take some percent of their time.
void token_pass(DecoderState& state, int32_t token, PassOutputs& outputs) {
  state.reserved = {};
  if (!serves(state.token, state, outputs)) build_token_graph(state, outputs);
  const TokenGraph& graph = state.token;
  show_entries(state, outputs);
  state.arena.restart();
  set_positions(graph.pos, state.n_past);
  ggml_backend_tensor_set(graph.ids, &token, 0, sizeof(token));
  state.arena.compute();
  read_attention(state, outputs);
  for (int32_t il = 0; il < state.kv.n_layer(); ++il) state.kv.commit(il, 1, state.n_past);
  ++state.n_past;
  outputs.logits = {static_cast<const float*>(graph.logits->data),
                    static_cast<size_t>(ggml_nelements(graph.logits))};
}

}  // namespace

void chunk_pass(DecoderState& state, std::span<const int32_t> tokens, PassOutputs& outputs) {
  const DecoderModel& model = *state.model;
  const int32_t n_layer = model.hparams().n_layer;
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  assert(n_tokens > 0 && n_tokens <= KvStore::kMaxPass && outputs.n_logits <= n_tokens);
  check_tokens(model, tokens);
  for (int32_t il = 0; il < n_layer; ++il) state.kv.make_room(il, n_tokens);
  const bool is_decode = n_tokens == 1 && outputs.n_logits == 1;
  if (is_decode && state.arena.has_kernels()) return token_pass(state, tokens[0], outputs);
  if (is_decode) {
    reserve_single(state, outputs);
  } else {
    state.reserved = {};
  }

  const PassGraph pass = build_pass(
      state, n_tokens, [](const KvStore& kv, int32_t il) { return kv.count(il); }, outputs);
  state.arena.allocate();
  set_positions(pass.pos, state.n_past);
  ggml_backend_tensor_set(pass.ids, tokens.data(), 0, ggml_nbytes(pass.ids));
  state.arena.compute();
  if (outputs.wants_attention && is_decode) {
    for (int32_t il = 0; il < n_layer; ++il) copy_attention(pass.attention[il], il, outputs);
  }

  for (int32_t il = 0; il < n_layer; ++il) state.kv.commit(il, n_tokens, state.n_past);
  state.n_past += n_tokens;
  if (pass.logits == nullptr) {
    outputs.logits = {};
    return;
  }
  outputs.copied.resize(ggml_nelements(pass.logits));
  ggml_backend_tensor_get(pass.logits, outputs.copied.data(), 0, ggml_nbytes(pass.logits));
  outputs.logits = outputs.copied;
}

}  // namespace reprise
