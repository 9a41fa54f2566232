#include "core/prompt_matmul_node.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/int_panel_matmul.h"
#include "core/kernels/panel_matmul.h"
#include "core/matmul_node.h"

namespace reprise {
namespace {

TEST(PromptKernel, IsChosenByTable) {
  using enum PromptKernel;
  using enum WeightUse;
  struct Row {
    ggml_type type;
    int32_t n_tokens;
    WeightUse use;
    PromptKernel want;
  };
  constexpr Row kRows[] = {
      {GGML_TYPE_Q4_1, 2, kAsIs, kIntPanels},   {GGML_TYPE_Q8_0, 512, kAsIs, kIntPanels},
      {GGML_TYPE_F16, 512, kAsIs, kGgml},       {GGML_TYPE_Q4_K, 512, kAsIs, kGgml},
      {GGML_TYPE_Q4_1, 31, kExpand, kGgml},     {GGML_TYPE_Q4_1, 32, kExpand, kF32Panels},
      {GGML_TYPE_Q4_K, 512, kExpand, kGgml},    {GGML_TYPE_F16, 512, kExpand, kF32Panels},
      {GGML_TYPE_Q4_1, 2, kAuto, kIntPanels},   {GGML_TYPE_IQ4_NL, 512, kAuto, kIntPanels},
      {GGML_TYPE_Q4_K, 512, kAuto, kIntPanels}, {GGML_TYPE_Q6_K, 512, kAuto, kGgml},
      {GGML_TYPE_F16, 255, kAuto, kGgml},       {GGML_TYPE_F16, 256, kAuto, kF32Panels},
      {GGML_TYPE_BF16, 512, kAuto, kF32Panels}, {GGML_TYPE_IQ2_XXS, 512, kAuto, kF32Panels}};
  for (const Row& row : kRows) {
    EXPECT_EQ(prompt_kernel(row.use, row.type, row.n_tokens), row.want)
        << ggml_type_name(row.type) << " " << row.n_tokens << " tokens";
  }
}

// A matrix of random weights in memory of the backend.
struct Weights {
  Weights(ggml_type t, int64_t in, int64_t out, std::mt19937& rng)
      : type(t),
        n_in(in),
        n_out(out),
        row_bytes(ggml_row_size(t, in)),
        buffer(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), row_bytes * out),
               ggml_backend_buffer_free) {
    const std::vector<float> values = random_values(static_cast<size_t>(in * out), 1, rng);
    ggml_quantize_chunk(type, values.data(), data(), 0, out, in, nullptr);
  }

  std::byte* data() const {
    return static_cast<std::byte*>(ggml_backend_buffer_get_base(buffer.get()));
  }
  ggml_tensor* tensor(GraphArena& arena) const {
    return arena.view(buffer.get(), data(), type, {n_in, n_out, 1}, row_bytes, row_bytes * n_out);
  }

  ggml_type type;
  int64_t n_in;
  int64_t n_out;
  size_t row_bytes;
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer;
};

std::vector<float> by_kernel(const Weights& w, const std::vector<float>& x, int64_t n_tokens) {
  std::vector<float> y(static_cast<size_t>(w.n_out * n_tokens));
  if (has_int_panel_matmul(w.type)) {
    std::vector<RoundedBlock> rounded(x.size() / RoundedBlock::kValues);
    round_activations(x.data(), static_cast<int64_t>(x.size()), rounded.data());
    std::vector<float> scratch(int_panel_matmul_scratch());
    for (int64_t i = 0; i < int_panel_matmul_parts(w.n_out); ++i) {
      int_panel_matmul_part(
          {w.type, w.data(), w.row_bytes, w.n_in, w.n_out, n_tokens, rounded.data(), y.data()}, i,
          scratch.data());
    }
    return y;
  }
  std::vector<float> scratch(panel_matmul_scratch());
  for (int64_t i = 0; i < panel_matmul_parts(w.n_out); ++i) {
    panel_matmul_part(
        {w.type, w.data(), w.row_bytes, w.n_in, w.n_out, n_tokens, x.data(), y.data()}, i,
        scratch.data());
  }
  return y;
}

// Weights of several types read one x, which is rounded once for those that want it so.
TEST(PromptMatmulNode, GivesWhatItsKernelsGive) {
  constexpr int64_t kIn = 576;
  std::mt19937 rng(1);
  const std::array<Weights, 3> weights{Weights(GGML_TYPE_Q4_1, kIn, 200, rng),
                                       Weights(GGML_TYPE_BF16, kIn, 100, rng),
                                       Weights(GGML_TYPE_Q8_0, kIn, 49, rng)};
  for (const int32_t n_threads : {1, 3}) {
    const Backend backend(n_threads);
    GraphArena arena(backend);
    for (const int64_t n_tokens : {33, 70}) {
      const std::vector<float> values = random_values(static_cast<size_t>(kIn * n_tokens), 1, rng);
      arena.begin();
      ggml_tensor* x = arena.input(GGML_TYPE_F32, kIn, n_tokens);
      std::array<ggml_tensor*, weights.size()> w{};
      for (size_t k = 0; k < w.size(); ++k) w[k] = weights[k].tensor(arena);
      const auto y = matmul_nodes(arena, w, x);
      for (ggml_tensor* t : y) {
        ggml_set_output(t);
        ggml_build_forward_expand(arena.graph(), t);
      }
      arena.allocate();
      std::copy(values.begin(), values.end(), static_cast<float*>(x->data));
      arena.compute();
      for (size_t k = 0; k < w.size(); ++k) {
        const std::vector<float> want = by_kernel(weights[k], values, n_tokens);
        const auto* got = static_cast<const float*>(y[k]->data);
        EXPECT_TRUE(std::equal(want.begin(), want.end(), got))
            << ggml_type_name(weights[k].type) << " " << n_tokens << " tokens";
      }
    }
  }
}

}  // namespace
}  // namespace reprise
