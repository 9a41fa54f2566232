#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"

struct ggml_cplan;
struct ggml_threadpool;

namespace reprise {

// How products of the weights with many tokens at once are computed. A single token always reads
// them as they are.
enum class WeightUse : uint8_t {
  kExpand,  // in F32, a part of the weights at a time
  kAsIs,    // in ggml's kernel for the file's type, which rounds activations to 8 bits
};

// The CPU backend with one persistent thread pool: without one ggml would make and end threads at
// every compute.
class Backend {
 public:
  static constexpr int32_t kMostThreads = 512;

  // n_threads in 1..kMostThreads; 0 takes the number of physical cores this process may use. Throws
  // Error.
  explicit Backend(int32_t n_threads, WeightUse weights = WeightUse::kExpand);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  int32_t n_threads() const { return n_threads_; }
  WeightUse weight_use() const { return weights_; }
  ggml_backend_t get() const { return backend_; }
  // For others that compute in this process: two pools of spinning threads would fight for the
  // cores.
  ggml_threadpool* pool() const { return pool_; }
  // Lets the threads sleep until the next compute; without it they look for work some 100 ms long,
  // and whoever computes on other threads meanwhile does without their cores.
  void rest() const;
  // Computes the graph, whose tensors must be allocated. Throws Error when ggml reports a failure.
  void compute(ggml_cgraph* graph) const;
  // Takes the scratch memory that computing the graph needs. Throws Error when it is not free.
  void reserve(ggml_cgraph* graph) const;

 private:
  ggml_cplan plan(ggml_cgraph* graph) const;

  int32_t n_threads_;
  WeightUse weights_;
  ggml_backend_t backend_ = nullptr;
  ggml_threadpool* pool_ = nullptr;
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

  int32_t n_threads() const { return backend_.n_threads(); }
  WeightUse weight_use() const { return backend_.weight_use(); }
  // Forgets the last graph and starts an empty one.
  void begin();
  ggml_context* ctx() const { return ctx_; }
  ggml_cgraph* graph() const { return graph_; }
  // An input of the graph, whose data may be set after allocate().
  ggml_tensor* input(ggml_type type, int64_t ne0, int64_t ne1 = 1);
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
  // Gives every tensor of the graph its place. Allocates memory, and lays it out anew, unless the
  // last graph had the same nodes and none was smaller. Throws Error when memory is short.
  void allocate();
  // Makes place for this graph without using it: later graphs of the same nodes, none of them
  // larger, allocate nothing. Throws Error when memory is short.
  void reserve();
  void compute() { backend_.compute(graph_); }

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
};

}  // namespace reprise
