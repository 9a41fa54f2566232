#include "core/token_matmul_node.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "core/kernels/token_vectors.h"
#include "core/row_cursor.h"
#include "core/token_product.h"
#include "core/token_rows.h"

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
  int64_t scratch;  // where it starts, in values
  int64_t scratch_size;
  void restart() { rows.restart(); }

  RowCursor rows;  // over all weights, each filled up to a multiple of RowCursor::kLeast
};

// Rows of a weight in the cursor, which gives every weight's rows out in the same groups.
int64_t padded_rows(const ggml_tensor* w) {
  return (w->ne[1] + RowCursor::kLeast - 1) / RowCursor::kLeast * RowCursor::kLeast;
}

void run(ggml_tensor* dst, int ith, int nth, void* work_pointer) {
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
  prefetch_next_nodes(dst, work);
  int64_t n_rows = 0;
  for (int32_t k = 0; k < work->n_w; ++k) n_rows += padded_rows(work->w[k]);
  for (RowRange range; (range = work->rows.take(n_rows, nth)).n > 0;) {
    float* y = data;
    for (int32_t k = 0; k < work->n_w; ++k) {  // the range may reach over several weights
      const ggml_tensor* w = work->w[k];
      const int64_t first = std::max<int64_t>(range.first, 0);
      const int64_t n = std::min(range.first + range.n, w->ne[1]) - first;
      if (n > 0) {
        input.multiply(w, first, n, y + first);
        add_rows(work->bias[k], first, n, y + first);
      }
      y += w->ne[1];
      range.first -= padded_rows(w);
    }
  }
}

}  // namespace

void token_matmul_node(GraphArena& arena, const TokenProducts& products,
                       std::span<ggml_tensor*> y) {
  const auto n_w = static_cast<int32_t>(products.w.size());
  assert(n_w > 0 && n_w <= kMostWeights && y.size() == products.w.size());
  assert(ggml_is_contiguous(products.x) && products.x->ne[1] == 1);
  auto* work = arena.keep_restartable<TokenWork>();
  work->trace = arena.trace();
  work->norm = products.norm;
  work->eps = products.eps;
  work->n_w = n_w;
  std::ranges::copy(products.w, work->w.begin());
  std::ranges::copy(products.bias, work->bias.begin());
  int64_t n_out = 0;
  for (const ggml_tensor* w : products.w) {
    n_out += w->ne[1];
    arena.note_product(ProductLog::Phase::kDecode, token_kernel_name(w->type), *w);
  }
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
