#include "core/feed_forward_node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/bounded_values_test.h"
#include "core/kernels/attention_reference_test.h"
#include "core/kernels/token_vectors.h"
#include "core/token_product.h"
#include "core/token_rows.h"

namespace reprise {
namespace {

constexpr float kEps = 1e-6F;

// Which weight is of which type, and what the layer has besides.
struct LayerForm {
  ggml_type wo;
  ggml_type gate;
  ggml_type up;
  ggml_type down;
  int64_t n_attention = 256;  // values of all heads
  int64_t n_embd = 256;
  int64_t n_ff = 512;
  Activation activation = Activation::kSilu;
  bool has_bias = false;
  bool has_post_norms = false;

  std::string text() const {
    std::string out = activation == Activation::kSilu ? "silu" : "gelu";
    for (const ggml_type type : {wo, gate, up, down})
      out += std::string(" ") + ggml_type_name(type);
    return out + " n_embd " + std::to_string(n_embd) + " n_ff " + std::to_string(n_ff) +
           (has_bias ? " bias" : "") + (has_post_norms ? " post norms" : "");
  }
};

// The rest of one layer behind the attention of one token.
struct Layer {
  Layer(const LayerForm& f, uint32_t seed)
      : rng(seed),
        form(f),
        wo(f.wo, f.n_attention, f.n_embd, rng),
        gate(f.gate, f.n_embd, f.n_ff, rng),
        up(f.up, f.n_embd, f.n_ff, rng),
        down(f.down, f.n_ff, f.n_embd, rng),
        norm(vector_of(f.n_embd)),
        x(vector_of(f.n_embd)),
        attention(vector_of(f.n_attention)) {
    if (f.has_bias) bo = vector_of(f.n_embd);
    if (!f.has_post_norms) return;
    post_attn = vector_of(f.n_embd);
    post_ffn = vector_of(f.n_embd);
  }

  std::vector<float> vector_of(int64_t n) { return random_values(static_cast<size_t>(n), 1, rng); }

  // The tensors of arena's graph.
  FeedForward tensors(GraphArena& arena) {
    const auto leaf = [&](std::vector<float>& v) { return vector_leaf(arena, v); };
    return {wo.tensor(arena), leaf(bo),           leaf(post_attn), leaf(norm), gate.tensor(arena),
            up.tensor(arena), down.tensor(arena), leaf(post_ffn),  kEps,       form.activation};
  }

  std::mt19937 rng;
  LayerForm form;
  TestWeights wo;
  TestWeights gate;
  TestWeights up;
  TestWeights down;
  std::vector<float> norm;
  std::vector<float> x;          // residual stream in front of the layer
  std::vector<float> attention;  // its result
  std::vector<float> bo;
  std::vector<float> post_attn;
  std::vector<float> post_ffn;
};

// The next stream of the first token, after `build` made a graph for n_tokens the same ones.
template <class F>
std::vector<float> compute(const Layer& layer, GraphArena& arena, int64_t n_tokens, F&& build) {
  arena.begin();
  ggml_tensor* x = arena.input(GGML_TYPE_F32, layer.form.n_embd, n_tokens);
  ggml_tensor* attention = arena.input(GGML_TYPE_F32, layer.form.n_attention, n_tokens);
  ggml_tensor* next = build(x, attention);
  ggml_build_forward_expand(arena.graph(), next);
  arena.allocate();
  for (int64_t i = 0; i < n_tokens; ++i) {
    std::ranges::copy(layer.x, static_cast<float*>(x->data) + x->ne[0] * i);
    std::ranges::copy(layer.attention, static_cast<float*>(attention->data) + attention->ne[0] * i);
  }
  arena.compute();
  const auto* values = static_cast<const float*>(next->data);
  return {values, values + layer.form.n_embd};
}

std::vector<float> run_node(Layer& layer, int32_t n_threads) {
  const Backend backend(n_threads);
  GraphArena arena(backend, 64);
  return compute(layer, arena, 1, [&](ggml_tensor* x, ggml_tensor* attention) {
    return feed_forward_nodes(arena, layer.tensors(arena), x, attention);
  });
}

// ggml's own operations, which take many tokens.
std::vector<float> run_twin(Layer& layer) {
  const Backend backend(2);
  GraphArena arena(backend, 64);
  ggml_context* ctx = arena.ctx();
  const auto normed = [&](ggml_tensor* h, ggml_tensor* weight) {
    return ggml_mul(ctx, ggml_rms_norm(ctx, h, kEps), weight);
  };
  return compute(layer, arena, 2, [&](ggml_tensor* x, ggml_tensor* attention) {
    const FeedForward t = layer.tensors(arena);
    ggml_tensor* h = ggml_mul_mat(ctx, t.wo, attention);
    if (t.bo != nullptr) h = ggml_add(ctx, h, t.bo);
    if (t.post_attn != nullptr) h = normed(h, t.post_attn);
    ggml_tensor* stream = ggml_add(ctx, h, x);
    h = normed(stream, t.norm);
    ggml_tensor* gate = ggml_mul_mat(ctx, t.gate, h);
    ggml_tensor* up = ggml_mul_mat(ctx, t.up, h);
    h = t.activation == Activation::kSilu ? ggml_swiglu_split(ctx, gate, up)
                                          : ggml_geglu_split(ctx, gate, up);
    h = ggml_mul_mat(ctx, t.down, h);
    if (t.post_ffn != nullptr) h = normed(h, t.post_ffn);
    return ggml_add(ctx, h, stream);
  });
}

// The kernels one after the other, over all rows at once.
std::vector<float> run_serially(Layer& layer) {
  const Backend backend(1);
  GraphArena arena(backend, 64);
  arena.begin();
  const FeedForward t = layer.tensors(arena);
  const int64_t n_embd = layer.form.n_embd;
  const auto times = [](const ggml_tensor* w, const std::vector<float>& x) {
    std::vector<std::byte> scratch(TokenInput::scratch_bytes(std::array{w}));
    std::vector<float> y(static_cast<size_t>(w->ne[1]));
    TokenInput(x.data(), w->ne[0], scratch.data()).multiply(w, 0, w->ne[1], y.data());
    return y;
  };
  const auto normed = [&](std::vector<float> x, const std::vector<float>& weight) {
    if (!weight.empty()) rms_norm(x.data(), weight.data(), kEps, n_embd, x.data());
    return x;
  };
  const auto plus = [](std::vector<float> a, const std::vector<float>& b) {
    for (size_t i = 0; i < b.size(); ++i) a[i] += b[i];
    return a;
  };
  const std::vector<float> stream =
      plus(normed(plus(times(t.wo, layer.attention), layer.bo), layer.post_attn), layer.x);
  const std::vector<float> h = normed(stream, layer.norm);
  std::vector<float> gates = times(t.gate, h);
  const std::vector<float> ups = times(t.up, h);
  const auto gate = layer.form.activation == Activation::kSilu ? swiglu : geglu;
  gate(gates.data(), ups.data(), layer.form.n_ff, gates.data());
  return plus(normed(times(t.down, gates), layer.post_ffn), stream);
}

BoundedValues want(const Layer& layer, Computer computer) {
  const auto post = [&](const BoundedValues& h, const std::vector<float>& weight) {
    return weight.empty() ? h : normed(h, weight, kEps);
  };
  BoundedValues h = product(layer.wo, exact(layer.attention), computer);
  if (!layer.bo.empty()) h = sum(h, exact(layer.bo));
  const BoundedValues stream = sum(post(h, layer.post_attn), exact(layer.x));
  h = normed(stream, layer.norm, kEps);
  h = gated(layer.form.activation, product(layer.gate, h, computer), product(layer.up, h, computer),
            computer);
  return sum(post(product(layer.down, h, computer), layer.post_ffn), stream);
}

void expect_twins(const LayerForm& form, uint32_t seed) {
  SCOPED_TRACE(form.text() + " seed " + std::to_string(seed));
  Layer layer(form, seed);
  const std::vector<float> serial = run_serially(layer);
  expect_within(serial, want(layer, Computer::kOurs));
  expect_within(run_twin(layer), want(layer, Computer::kGgml));
  for (const int32_t n_threads : {1, 2, 5, 16})
    EXPECT_EQ(run_node(layer, n_threads), serial) << n_threads << " threads";
}

LayerForm form_of(ggml_type type) { return {.wo = type, .gate = type, .up = type, .down = type}; }

TEST(FeedForwardNode, EqualsItsTwinForEveryType) {
  uint32_t seed = 0;
  for (const ggml_type type :
       {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K}) {
    for (const Activation activation : {Activation::kSilu, Activation::kGelu}) {
      for (const bool has_all : {false, true}) {
        LayerForm form = form_of(type);
        form.activation = activation;
        form.has_bias = form.has_post_norms = has_all;
        expect_twins(form, ++seed);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(FeedForwardNode, EqualsItsTwinForMixedTypes) {
  const LayerForm forms[] = {
      {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0},
      {GGML_TYPE_Q4_K, GGML_TYPE_Q8_0, GGML_TYPE_F32, GGML_TYPE_Q4_1},
      {GGML_TYPE_Q4_1, GGML_TYPE_Q4_K, GGML_TYPE_Q4_0, GGML_TYPE_F16},
  };
  uint32_t seed = 100;
  for (LayerForm form : forms) {
    for (const bool has_bias : {false, true}) {
      form.has_bias = has_bias;
      form.has_post_norms = !has_bias;
      expect_twins(form, ++seed);
      if (HasFatalFailure()) return;
    }
  }
}

// Rows that fill no part, and fewer parts than threads.
TEST(FeedForwardNode, EqualsItsTwinForOddSizes) {
  LayerForm form = form_of(GGML_TYPE_F32);
  form.n_attention = 9;
  form.n_embd = 23;
  form.n_ff = 37;
  expect_twins(form, 200);
  form.has_post_norms = true;
  expect_twins(form, 201);
  form = form_of(GGML_TYPE_Q4_1);
  form.n_attention = 32;
  form.n_embd = 96;
  form.n_ff = 5280;  // parts of the most rows, and one of fewer
  expect_twins(form, 202);
}

TEST(FeedForwardNode, TellsTheTraceOfEveryThread) {
  constexpr int32_t kThreads = 3;
  Layer layer(form_of(GGML_TYPE_F32), 300);
  OpTrace trace(kThreads, 10);
  Backend backend(kThreads);
  backend.set_trace(&trace);
  GraphArena arena(backend, 64);
  compute(layer, arena, 1, [&](ggml_tensor* x, ggml_tensor* attention) {
    return feed_forward_nodes(arena, layer.tensors(arena), x, attention);
  });
  const std::vector<OpSpan> spans = trace.spans();
  ASSERT_EQ(spans.size(), static_cast<size_t>(kThreads));
  int32_t threads = 0;
  for (const OpSpan& span : spans) {
    EXPECT_STREQ(span.name, "feed forward");
    EXPECT_LE(span.wait_s, span.duration_s);
    threads |= 1 << span.i_thread;
  }
  EXPECT_EQ(threads, 0b111);
}

}  // namespace
}  // namespace reprise
