#include "core/token_matmul_node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "core/bounded_values_test.h"
#include "core/kernels/attention_reference_test.h"
#include "core/kernels/token_vectors.h"
#include "core/token_product.h"
#include "core/token_rows.h"

namespace reprise {
namespace {

constexpr float kEps = 1e-5F;

using Results = std::vector<std::vector<float>>;  // of each weight: [n_out]

enum class Bias : uint8_t { kNone, kSome, kAll };

// One token and up to three weights that read it.
struct Products {
  Products(const std::vector<ggml_type>& types, int64_t n_in, const std::vector<int64_t>& n_out,
           Bias biases, bool norms, std::mt19937& rng)
      : x(random_values(static_cast<size_t>(n_in), 2, rng)), has_norm(norms) {
    if (norms) norm = random_values(x.size(), 1, rng);
    for (size_t k = 0; k < types.size(); ++k) {
      w.emplace_back(types[k], n_in, n_out[k], rng);
      bias.emplace_back();
      if (biases == Bias::kAll || (biases == Bias::kSome && k % 2 == 0))
        bias[k] = random_values(static_cast<size_t>(n_out[k]), 1, rng);
    }
  }

  std::string text() const {
    std::string out = has_norm ? "normed" : "plain";
    for (size_t k = 0; k < w.size(); ++k) {
      out += std::string(" ") + ggml_type_name(w[k].type()) + " " + std::to_string(w[k].n_out()) +
             (bias[k].empty() ? "" : " with bias");
    }
    return out;
  }

  std::vector<float> x;
  bool has_norm;
  std::vector<float> norm;
  std::vector<TestWeights> w;
  std::vector<std::vector<float>> bias;
};

// The first column of each y, after the graph of `x` is computed with p.x in every column of it.
Results compute(GraphArena& arena, const Products& p, ggml_tensor* x,
                const std::vector<ggml_tensor*>& y) {
  for (ggml_tensor* t : y) ggml_build_forward_expand(arena.graph(), t);
  arena.allocate();
  for (int64_t i = 0; i < x->ne[1]; ++i)
    std::ranges::copy(p.x, static_cast<float*>(x->data) + x->ne[0] * i);
  arena.compute();
  Results results;
  for (const ggml_tensor* t : y) {
    const auto* values = static_cast<const float*>(t->data);
    results.emplace_back(values, values + t->ne[0]);
  }
  return results;
}

Results run_node(Products& p, int32_t n_threads) {
  const Backend backend(n_threads);
  GraphArena arena(backend, 64);
  arena.begin();
  ggml_tensor* x = arena.input(GGML_TYPE_F32, static_cast<int64_t>(p.x.size()));
  std::vector<ggml_tensor*> w;
  std::vector<ggml_tensor*> bias;
  for (size_t k = 0; k < p.w.size(); ++k) {
    w.push_back(p.w[k].tensor(arena));
    bias.push_back(vector_leaf(arena, p.bias[k]));
  }
  if (std::ranges::all_of(bias, [](const ggml_tensor* b) { return b == nullptr; })) bias.clear();
  std::vector<ggml_tensor*> y(w.size());
  token_matmul_node(arena, {x, vector_leaf(arena, p.norm), kEps, w, bias}, y);
  return compute(arena, p, x, y);
}

// ggml's own operations, which take many tokens: here the same one twice.
Results run_twin(Products& p) {
  const Backend backend(2);
  GraphArena arena(backend, 64);
  arena.begin();
  ggml_context* ctx = arena.ctx();
  ggml_tensor* x = arena.input(GGML_TYPE_F32, static_cast<int64_t>(p.x.size()), 2);
  ggml_tensor* input = x;
  if (p.has_norm) input = ggml_mul(ctx, ggml_rms_norm(ctx, x, kEps), vector_leaf(arena, p.norm));
  std::vector<ggml_tensor*> y;
  for (size_t k = 0; k < p.w.size(); ++k) {
    y.push_back(ggml_mul_mat(ctx, p.w[k].tensor(arena), input));
    if (!p.bias[k].empty()) y[k] = ggml_add(ctx, y[k], vector_leaf(arena, p.bias[k]));
  }
  return compute(arena, p, x, y);
}

// The kernels one after the other, over all rows at once.
Results run_serially(Products& p) {
  const Backend backend(1);
  GraphArena arena(backend, 64);
  arena.begin();
  const auto n_in = static_cast<int64_t>(p.x.size());
  std::vector<float> x = p.x;
  if (p.has_norm) rms_norm(x.data(), p.norm.data(), kEps, n_in, x.data());
  std::vector<const ggml_tensor*> w;
  for (TestWeights& weights : p.w) w.push_back(weights.tensor(arena));
  constexpr std::byte kGuard{0xA5};
  std::vector<std::byte> scratch(TokenInput::scratch_bytes(w) + 64, kGuard);
  TokenInput input(x.data(), n_in, scratch.data());
  Results results;
  for (size_t k = 0; k < w.size(); ++k) {
    std::vector<float>& y = results.emplace_back(static_cast<size_t>(p.w[k].n_out()));
    input.multiply(w[k], 0, p.w[k].n_out(), y.data());
    add_rows(vector_leaf(arena, p.bias[k]), 0, p.w[k].n_out(), y.data());
  }
  EXPECT_EQ(std::count(scratch.end() - 64, scratch.end(), kGuard), 64)
      << "TokenInput writes behind its scratch";
  return results;
}

void expect_twins(Products& p) {
  SCOPED_TRACE(p.text());
  const Results serial = run_serially(p);
  const Results twin = run_twin(p);
  BoundedValues x = exact(p.x);
  if (p.has_norm) x = normed(x, p.norm, kEps);
  for (size_t k = 0; k < p.w.size(); ++k) {
    SCOPED_TRACE("weight " + std::to_string(k));
    const auto want = [&](Computer computer) {
      const BoundedValues y = product(p.w[k], x, computer);
      return p.bias[k].empty() ? y : sum(y, exact(p.bias[k]));
    };
    expect_within(serial[k], want(Computer::kOurs));
    expect_within(twin[k], want(Computer::kGgml));
  }
  for (const int32_t n_threads : {1, 2, 5, 16})
    EXPECT_EQ(run_node(p, n_threads), serial) << n_threads << " threads";
}

constexpr ggml_type kTypes[] = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_Q4_0,
                                GGML_TYPE_Q4_1, GGML_TYPE_Q8_0, GGML_TYPE_Q3_K,
                                GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL};

TEST(TokenMatmulNode, EqualsItsTwinForEveryType) {
  uint32_t seed = 0;
  for (const ggml_type type : kTypes) {
    for (const Bias bias : {Bias::kNone, Bias::kAll}) {
      std::mt19937 rng(++seed);
      Products p({type}, 512, {200}, bias, seed % 3 == 0, rng);
      expect_twins(p);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(TokenMatmulNode, EqualsItsTwinForMixedTypes) {
  const std::vector<ggml_type> mixes[] = {{GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q4_1},
                                          {GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q8_0},
                                          {GGML_TYPE_Q4_K, GGML_TYPE_Q4_1, GGML_TYPE_F16},
                                          {GGML_TYPE_IQ4_NL, GGML_TYPE_Q4_0}};
  uint32_t seed = 100;
  for (const std::vector<ggml_type>& types : mixes) {
    for (const Bias bias : {Bias::kNone, Bias::kSome, Bias::kAll}) {
      for (const bool has_norm : {false, true}) {
        std::mt19937 rng(++seed);
        Products p(types, 256, {100, 48, 16}, bias, has_norm, rng);
        expect_twins(p);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Fewer rows than a kernel takes together, a single block, fewer parts than threads.
TEST(TokenMatmulNode, EqualsItsTwinForTheSmallest) {
  uint32_t seed = 200;
  for (const std::vector<int64_t>& n_out :
       {std::vector<int64_t>{1, 1, 1}, {15, 17, 2}, {33, 1, 16}}) {
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0}) {
      std::mt19937 rng(++seed);
      Products p({type, type, GGML_TYPE_Q4_0}, 32, n_out, Bias::kSome, true, rng);
      expect_twins(p);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace reprise
