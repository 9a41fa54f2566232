#include "core/token_matmul_node.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "core/kernels/token_vectors.h"
#include "core/token_product.h"
#include "core/token_rows.h"
#include "core/work_parts.h"

namespace reprise {
namespace {

constexpr int64_t kMostWeights = 3;

// Kept beside the graph; the node's tensor holds [y of all weights | scratch of each thread], a
// scratch [normed x | rounded x].
struct TokenWork {
  OpTrace* trace;
  const ggml_tensor* norm;
  float eps;
  std::array<const ggml_tensor*, kMostWeights> w;
  std::array<const ggml_tensor*, kMostWeights> bias;
  int32_t n_w;
  int64_t part_rows;
  int64_t scratch;  // where it starts, in values
  int64_t scratch_size;
  WorkParts parts;
};

void run(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<TokenWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "token products");
  const int64_t n_in = work->w[0]->ne[0];
  auto* data = static_cast<float*>(dst->data);
  float* scratch = data + work->scratch + work->scratch_size * ith;
  const auto* x = static_cast<const float*>(dst->src[0]->data);
  if (work->norm != nullptr) {
    rms_norm(x, static_cast<const float*>(work->norm->data), work->eps, n_in, scratch);
    x = scratch;
    scratch += aligned_values(n_in);
  }
  TokenInput input(x, n_in, reinterpret_cast<std::byte*>(scratch));
  while (true) {
    int64_t i_part = work->parts.take();
    float* y = data;
    int32_t k = 0;
    for (; k < work->n_w; ++k) {
      const int64_t n_parts = row_parts(work->w[k]->ne[1], work->part_rows);
      if (i_part < n_parts) break;
      i_part -= n_parts;
      y += work->w[k]->ne[1];
    }
    if (k == work->n_w) return;
    const int64_t first = i_part * work->part_rows;
    const int64_t n = std::min(work->part_rows, work->w[k]->ne[1] - first);
    input.multiply(work->w[k], first, n, y + first);
    add_rows(work->bias[k], first, n, y + first);
  }
}

}  // namespace

void token_matmul_node(GraphArena& arena, const TokenProducts& products,
                       std::span<ggml_tensor*> y) {
  const auto n_w = static_cast<int32_t>(products.w.size());
  assert(n_w > 0 && n_w <= kMostWeights && y.size() == products.w.size());
  assert(ggml_is_contiguous(products.x) && products.x->ne[1] == 1);
  auto* work = arena.keep<TokenWork>();
  work->trace = arena.trace();
  work->norm = products.norm;
  work->eps = products.eps;
  work->n_w = n_w;
  std::ranges::copy(products.w, work->w.begin());
  std::ranges::copy(products.bias, work->bias.begin());
  int64_t n_out = 0;
  for (const ggml_tensor* w : products.w) n_out += w->ne[1];
  work->part_rows = rows_of_a_part(n_out, arena.n_threads());
  work->scratch = aligned_values(n_out);
  const size_t rounded = TokenInput::scratch_bytes(
      std::span<const ggml_tensor* const>(work->w.data(), static_cast<size_t>(n_w)));
  work->scratch_size = aligned_values(products.x->ne[0]) +
                       aligned_values(static_cast<int64_t>(rounded / sizeof(float)) + 1);
  ggml_tensor* node = ggml_custom_4d(
      arena.ctx(), GGML_TYPE_F32, work->scratch + work->scratch_size * arena.n_threads(), 1, 1, 1,
      const_cast<ggml_tensor**>(&products.x), 1, run, GGML_N_TASKS_MAX, work);
  int64_t first = 0;
  for (int32_t k = 0; k < n_w; ++k) {
    const int64_t n = products.w[k]->ne[1];
    y[k] = ggml_view_2d(arena.ctx(), node, n, 1, n * sizeof(float), first * sizeof(float));
    first += n;
  }
}

}  // namespace reprise
