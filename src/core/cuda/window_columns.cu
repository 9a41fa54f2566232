#include <vector>

#include "core/cuda/cache_rows.cuh"
#include "core/cuda/device_memory.cuh"
#include "core/cuda/launch.cuh"
#include "core/cuda/window_columns.h"

namespace reprise {
namespace {

constexpr int kTile = 32;       // keys of a tile, one a lane of every warp
constexpr int kWarps = 8;       // of a block; they share the rows of the window
constexpr int kSplit = 1024;    // keys that one block adds up
constexpr unsigned kAll = ~0U;  // lanes of a warp

// AttentionRows and the window, as kernels take them.
struct Window {
  const std::byte* k;
  size_t row_bytes;
  size_t head_bytes;
  const float* q;  // of the window's first token: [n_embd_head, n_head, n_rows]
  int n_embd_head;
  int n_head;
  int n_group;
  int n_kv;
  int n_rows;
  float scale;
};

// A maximum of logits, and the sum of exp(logit - maximum).
struct Sum {
  float max;
  float sum;
};

__device__ Sum merged(Sum a, Sum b) {
  const float max = fmaxf(a.max, b.max);
  const auto part = [max](Sum s) { return s.max == -INFINITY ? 0 : s.sum * expf(s.max - max); };
  return {max, part(a) + part(b)};
}

// Keys [first, first + kTile) of KV head g, dimension-major with a spare column, so that neither
// writing nor reading it meets a bank twice.
template <class Row>
__device__ void load_tile(const Window& w, int g, int first, float* tile) {
  const std::byte* head = w.k + w.head_bytes * g;
  for (int c = threadIdx.y; c < kTile; c += kWarps) {
    const bool is_there = first + c < w.n_kv;
    const std::byte* row = head + w.row_bytes * (first + c);
    for (int x = threadIdx.x; x < w.n_embd_head; x += kTile) {
      tile[x * (kTile + 1) + c] = is_there ? Row::value(row, x) : 0;
    }
  }
}

// Of this lane's key with row r of query head h.
__device__ float logit(const Window& w, int h, int r, const float* tile) {
  const float* q = w.q + static_cast<size_t>(r * w.n_head + h) * w.n_embd_head;
  float sum = 0;
  for (int x = 0; x < w.n_embd_head; ++x) sum += q[x] * tile[x * (kTile + 1) + threadIdx.x];
  return w.scale * sum;
}

// sums [gridDim.x][n_head][n_rows]: of the block's keys. One warp owns a row, so that nothing is
// added up in an order of chance.
template <class Row>
__global__ void add_up_logits(Window w, Sum* sums) {
  float* tile = shared_values();
  const int g = blockIdx.y;
  Sum* own = sums + static_cast<size_t>(blockIdx.x) * w.n_head * w.n_rows;
  const int end = min(w.n_kv, (static_cast<int>(blockIdx.x) + 1) * kSplit);
  for (int first = blockIdx.x * kSplit; first < end; first += kTile) {
    __syncthreads();
    load_tile<Row>(w, g, first, tile);
    __syncthreads();
    const int key = first + threadIdx.x;
    for (int j = threadIdx.y; j < w.n_group * w.n_rows; j += kWarps) {
      const int h = g * w.n_group + j / w.n_rows;
      const int r = j % w.n_rows;
      const bool is_seen = key <= w.n_kv - w.n_rows + r;
      const float x = is_seen ? logit(w, h, r, tile) : -INFINITY;
      float max = x;
      for (int step = kTile / 2; step > 0; step /= 2) {
        max = fmaxf(max, __shfl_xor_sync(kAll, max, step));
      }
      float sum = is_seen ? expf(x - max) : 0;
      for (int step = kTile / 2; step > 0; step /= 2) sum += __shfl_xor_sync(kAll, sum, step);
      if (threadIdx.x != 0) continue;
      Sum& row = own[h * w.n_rows + r];
      const bool is_first = first == static_cast<int>(blockIdx.x) * kSplit;
      row = is_first ? Sum{max, sum} : merged(row, {max, sum});
    }
  }
}

// lse [n_values]: of all splits.
__global__ void merge_sums(const Sum* sums, int n_splits, int n_values, float* lse) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n_values) return;
  Sum all = sums[i];
  for (int split = 1; split < n_splits; ++split) {
    all = merged(all, sums[static_cast<size_t>(split) * n_values + i]);
  }
  lse[i] = all.max + logf(all.sum);
}

// Mean and sum of squared distances from it over some rows (Welford), and two of them together
// (Chan).
struct Moments {
  int n;
  float mean;
  float squares;

  __device__ void add(float a) {
    ++n;
    const float distance = a - mean;
    mean += distance / n;
    squares += distance * (a - mean);
  }
  __device__ void add(const Moments& other) {
    if (other.n == 0) return;
    const float distance = other.mean - mean;
    const int total = n + other.n;
    mean += distance * other.n / total;
    squares += other.squares + distance * distance * n * other.n / total;
    n = total;
  }
};

// Per candidate and KV head, [n_head_kv][n_candidates]; per block, [n_head_kv][gridDim.x].
struct Columns {
  float* mean;
  float* var;
  float* last;
  double* entropy;
  double* variance;
};

// One block a tile of candidates; a lane is a candidate.
template <class Row>
__global__ void measure_columns(Window w, const float* lse, int first_entry, int n_candidates,
                                Columns out) {
  float* tile = shared_values();
  static __shared__ Moments parts[kWarps][kTile];
  static __shared__ float last_of[kTile];
  static __shared__ double entropies[kWarps][kTile];
  static __shared__ double variances[kTile];
  const int g = blockIdx.y;
  const int n = blockIdx.x * kTile + threadIdx.x;
  const bool is_candidate = n < n_candidates;
  load_tile<Row>(w, g, first_entry + blockIdx.x * kTile, tile);
  __syncthreads();
  Moments column{};  // averages over the heads, of the first warp
  float last = 0;
  double entropy = 0;
  for (int i = 0; i < w.n_group; ++i) {
    const int h = g * w.n_group + i;
    Moments rows{};
    for (int r = threadIdx.y; r < w.n_rows; r += kWarps) {
      const float x = logit(w, h, r, tile) - lse[h * w.n_rows + r];
      const float a = expf(x);
      // -a ln(a) without a logarithm; what has no probability adds nothing, NaN shows.
      entropy -= static_cast<double>(a) * x;
      rows.add(a);
      if (r == w.n_rows - 1) last_of[threadIdx.x] = a;
    }
    parts[threadIdx.y][threadIdx.x] = rows;
    __syncthreads();
    if (threadIdx.y == 0) {
      for (int warp = 1; warp < kWarps; ++warp) rows.add(parts[warp][threadIdx.x]);
      column.mean += rows.mean / w.n_group;
      column.squares += rows.squares / max(1, w.n_rows - 1);
      last += last_of[threadIdx.x] / w.n_group;
    }
    __syncthreads();
  }
  entropies[threadIdx.y][threadIdx.x] = is_candidate ? entropy : 0;
  if (threadIdx.y == 0) {
    variances[threadIdx.x] = is_candidate ? column.squares : 0;
    if (is_candidate) {
      const size_t to = static_cast<size_t>(g) * n_candidates + n;
      out.mean[to] = column.mean;
      out.var[to] = column.squares / w.n_group;
      out.last[to] = last;
    }
  }
  __syncthreads();
  if (threadIdx.x != 0 || threadIdx.y != 0) return;
  double all_entropy = 0;
  double all_variance = 0;
  for (int c = 0; c < kTile; ++c) {
    for (int warp = 0; warp < kWarps; ++warp) all_entropy += entropies[warp][c];
    all_variance += variances[c];
  }
  const size_t block = static_cast<size_t>(g) * gridDim.x + blockIdx.x;
  out.entropy[block] = all_entropy;
  out.variance[block] = all_variance;
}

unsigned n_blocks(int n, int unit) { return static_cast<unsigned>((n + unit - 1) / unit); }

// Lets a kernel have this much shared memory for its tile, which may be more than the usual 48 KiB.
template <class Kernel>
void give_tile(Kernel* kernel, size_t n_bytes) {
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(n_bytes)),
             "heads too large for the shared memory");
}

template <class Row>
WindowSums measure(const Window& w, int n_head_kv, int first_entry, WindowStats& stats) {
  const auto n_candidates = static_cast<int>(stats.mean.size()) / n_head_kv;
  const size_t tile_bytes = sizeof(float) * w.n_embd_head * (kTile + 1);
  give_tile(add_up_logits<Row>, tile_bytes);
  give_tile(measure_columns<Row>, tile_bytes);
  const dim3 threads(kTile, kWarps);

  const unsigned n_splits = n_blocks(w.n_kv, kSplit);
  const int n_rows = w.n_head * w.n_rows;
  const DeviceValues<Sum> sums(static_cast<size_t>(n_splits) * n_rows);
  const DeviceValues<float> lse(n_rows);
  launch(add_up_logits<Row>, dim3(n_splits, n_head_kv), threads, tile_bytes, w, sums.get());
  constexpr int kThreads = 256;
  launch(merge_sums, dim3(n_blocks(n_rows, kThreads)), dim3(kThreads), 0, sums.get(),
         static_cast<int>(n_splits), n_rows, lse.get());

  const unsigned n_tiles = n_blocks(n_candidates, kTile);
  const DeviceValues<float> mean(stats.mean.size());
  const DeviceValues<float> var(stats.mean.size());
  const DeviceValues<float> last(stats.mean.size());
  std::vector<double> entropies(static_cast<size_t>(n_tiles) * n_head_kv);
  std::vector<double> variances(entropies.size());
  const DeviceValues<double> entropy(entropies.size());
  const DeviceValues<double> variance(entropies.size());
  launch(measure_columns<Row>, dim3(n_tiles, n_head_kv), threads, tile_bytes, w, lse.get(),
         first_entry, n_candidates,
         Columns{mean.get(), var.get(), last.get(), entropy.get(), variance.get()});
  check_cuda(cudaGetLastError(), "window statistics");
  mean.to_host(stats.mean.data());
  var.to_host(stats.var.data());
  last.to_host(stats.last.data());
  entropy.to_host(entropies.data());
  variance.to_host(variances.data());
  WindowSums out;
  for (size_t i = 0; i < entropies.size(); ++i) {
    out.entropy += entropies[i];
    out.variance += variances[i];
  }
  return out;
}

}  // namespace

WindowSums cuda_window_columns(const AttentionRows& rows, int32_t n_window, int32_t first_entry,
                               WindowStats& stats) {
  const AttentionShape& s = rows.shape;
  use_device_of(rows.k.data);
  Window w{};
  w.k = rows.k.data;
  w.row_bytes = rows.k.row_bytes;
  w.head_bytes = rows.k.head_bytes;
  w.q = rows.q + static_cast<size_t>(s.n_embd_head) * s.n_head * (rows.span.n_tokens - n_window);
  w.n_embd_head = s.n_embd_head;
  w.n_head = s.n_head;
  w.n_group = s.n_group();
  w.n_kv = rows.span.n_kv();
  w.n_rows = n_window;
  w.scale = s.scale;
  switch (s.type) {
    case GGML_TYPE_F32:
      return measure<RowF32>(w, s.n_head_kv, first_entry, stats);
    case GGML_TYPE_F16:
      return measure<RowF16>(w, s.n_head_kv, first_entry, stats);
    case GGML_TYPE_Q8_0:
      return measure<RowQ8_0>(w, s.n_head_kv, first_entry, stats);
    case GGML_TYPE_Q4_0:
      return measure<RowQ4_0>(w, s.n_head_kv, first_entry, stats);
    default:
      throw Error(std::string("CUDA: no window statistics of a cache of type ") +
                  ggml_type_name(s.type));
  }
}

}  // namespace reprise
