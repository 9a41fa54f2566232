#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "core/causal_masks.h"
#include "core/device.h"
#include "core/device_kernels.h"
#include "core/kv_placement.h"
#include "core/op_trace.h"
#include "core/product_log.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

namespace reprise {

// How products of the weights with several tokens at once are computed (core/prompt_matmul_node). A
// single token always reads them as they are.
enum class WeightUse : uint8_t {
  kAuto,    // per weight type the faster of the two below
  kExpand,  // in F32, a part of the weights at a time
  kAsIs,    // the file's integers, with activations rounded to 8 bits as llama.cpp does
};

// What computes graphs: the CPU with one persistent thread pool (without one ggml would make and
// end threads at every compute), or another device through ggml's backend of it.
class Backend {
 public:
  static constexpr int32_t kMostThreads = 512;

  // As many threads as wanted, but no more than this process may use cores (core/usable_cores):
  // further ones would only wait for each other's cores at the end of every node. 0: one on each of
  // these cores. Throws Error beyond kMostThreads.
  static int32_t useful_threads(int32_t wanted);

  // n_threads in 1..kMostThreads, all of which are started; 0: as many as usable_cores(). Throws
  // Error, also when the device is not there.
  explicit Backend(int32_t n_threads, WeightUse weights = WeightUse::kAuto,
                   const Device& device = {});
  // Any backend of ggml, which is freed with this object.
  Backend(int32_t n_threads, ggml_backend_t device, const DeviceKernels* kernels);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  int32_t n_threads() const { return n_threads_; }
  WeightUse weight_use() const { return weights_; }
  ggml_backend_t get() const { return backend_; }
  // Who is told when threads work on our nodes of the graphs built from now on; null: nobody.
  void set_trace(OpTrace* trace) { trace_ = trace; }
  OpTrace* trace() const { return trace_; }
  // Who is told which kernels multiply in graphs that are built from now on; null: nobody.
  void set_products(ProductLog* products) { products_ = products; }
  ProductLog* products() const { return products_; }
  // Whether graphs may hold nodes that run our own kernels; otherwise ggml's operations alone.
  bool has_kernels() const { return has_kernels_; }
  // Where the tensors of its graphs live. is_host(): the CPU may read them through their pointers.
  ggml_backend_buffer_type_t buffer_type() const;
  bool is_host() const { return ggml_backend_buft_is_host(buffer_type()); }
  KvPlacement kv_placement() const;
  // Of this device, to run between graphs; null where the CPU has its own, and where there are
  // none.
  const DeviceKernels* kernels() const { return kernels_; }
  // For others that compute in this process: two pools of spinning threads would fight for the
  // cores. Null on other devices than the CPU.
  ggml_threadpool* pool() const { return pool_; }
  // Throws Error when the device has no form of one of the graph's operations.
  void check(ggml_cgraph* graph) const;
  // Lets the threads sleep until the next compute; without it they look for work some 100 ms long,
  // and whoever computes on other threads meanwhile does without their cores.
  void rest() const;
  // How the CPU's threads compute the graph, with the scratch memory that it needs. Throws Error
  // when that is not free.
  ggml_cplan plan(ggml_cgraph* graph) const;
  // Computes the graph, whose tensors must be allocated, by its plan, or another one of this graph
  // when its tensors were no smaller; devices that are not the CPU have none. Throws Error when
  // ggml reports a failure.
  void compute(ggml_cgraph* graph, ggml_cplan plan) const;

 private:
  void start_cpu();

  int32_t n_threads_;
  WeightUse weights_;
  bool has_kernels_ = false;
  const DeviceKernels* kernels_ = nullptr;
  ggml_backend_t backend_ = nullptr;
  ggml_threadpool* pool_ = nullptr;
  OpTrace* trace_ = nullptr;
  ProductLog* products_ = nullptr;
  mutable std::vector<std::byte> scratch_;  // of a compute; as large as any graph needed so far
};

// A graph under construction with its own node memory and its own activations, both reused from
// pass to pass.
class GraphArena {
 public:
  // n_nodes_max counts tensors, views included. Throws Error when memory is short.
  explicit GraphArena(const Backend& backend, size_t n_nodes_max = 8192);
  ~GraphArena();
  GraphArena(const GraphArena&) = delete;
  GraphArena& operator=(const GraphArena&) = delete;

  const Backend& backend() const { return backend_; }
  int32_t n_threads() const { return backend_.n_threads(); }
  WeightUse weight_use() const { return backend_.weight_use(); }
  OpTrace* trace() const { return backend_.trace(); }
  // For the backend's ProductLog, if it has one.
  void note_product(ProductLog::Phase phase, std::string_view kernel, const ggml_tensor& w) const {
    if (backend_.products() != nullptr) backend_.products()->add(phase, kernel, w);
  }
  bool has_kernels() const { return backend_.has_kernels(); }
  ggml_backend_buffer_type_t buffer_type() const { return backend_.buffer_type(); }
  // Forgets the last graph and starts an empty one.
  void begin();
  ggml_context* ctx() const { return ctx_; }
  ggml_cgraph* graph() const { return graph_; }
  // An input of the graph, whose data may be set after allocate().
  ggml_tensor* input(ggml_type type, int64_t ne0, int64_t ne1 = 1);
  // The mask [n_columns, span.n_tokens] F16 of CausalMasks, which allocate() fills.
  ggml_tensor* causal_mask(const CausalSpan& span, int64_t n_columns) {
    return masks_.get(ctx_, span, n_columns);
  }
  // A tensor over memory of the caller: ne[0] values contiguous, nb1 and nb2 in bytes.
  ggml_tensor* view(ggml_backend_buffer_t buffer, void* data, ggml_type type,
                    const int64_t (&ne)[3], size_t nb1, size_t nb2);
  // n values of a node's own, zeroed, that live until the next begin(). Takes memory for more of
  // them than any graph before; throws Error when it is short.
  template <class T>
  T* keep(size_t n = 1) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= alignof(std::max_align_t));
    auto* values = static_cast<T*>(keep_bytes(sizeof(T) * n));
    for (size_t i = 0; i < n; ++i) new (values + i) T();
    return values;
  }
  // The same for one value that computing the graph uses up: restart() calls the value's own.
  template <class T>
  T* keep_restartable() {
    T* value = keep<T>();
    restarts_.push_back({[](void* kept) { static_cast<T*>(kept)->restart(); }, value});
    return value;
  }
  // Makes a graph that was computed ready to be computed once more, with the same tensors.
  void restart();
  // Counts the graphs that were begun: whoever keeps tensors of one sees whether they still stand.
  int64_t n_begun() const { return n_begun_; }
  // Gives every tensor of the graph its place. Allocates memory, and lays it out anew, unless the
  // last graph had the same nodes and none was smaller. Throws Error when memory is short, or when
  // the device cannot compute the graph.
  void allocate();
  // Makes place for this graph without using it: later graphs of the same nodes, none of them
  // larger, allocate nothing. Throws Error when memory is short.
  void reserve();
  void compute() { backend_.compute(graph_, plan_); }

 private:
  void* keep_bytes(size_t n_bytes);

  const Backend& backend_;
  size_t n_nodes_max_;
  std::vector<std::unique_ptr<std::byte[]>> kept_;  // pieces of kKeptPiece bytes
  size_t i_kept_ = 0;                               // piece in use
  size_t n_kept_bytes_ = 0;                         // of it
  ggml_context* ctx_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  ggml_gallocr_t allocator_ = nullptr;
  CausalMasks masks_;
  struct Restart {
    void (*run)(void* kept);
    void* kept;
  };
  std::vector<Restart> restarts_;
  int64_t n_begun_ = 0;
  ggml_cplan plan_ = {};  // of the graph that was allocated
};

}  // namespace reprise
