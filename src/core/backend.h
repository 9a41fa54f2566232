#pragma once

#include <cstdint>
#include <memory>

#include "ggml-backend.h"
#include "ggml.h"

namespace reprise {

// The CPU backend with one persistent thread pool: without one ggml would make and end threads at
// every compute.
class Backend {
 public:
  // n_threads in 1..512; 0 takes the number of physical cores this process may use. Throws Error.
  explicit Backend(int32_t n_threads);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  int32_t n_threads() const { return n_threads_; }
  ggml_backend_t get() const { return backend_; }
  // Computes the graph, whose tensors must be allocated. Throws Error when ggml reports a failure.
  void compute(ggml_cgraph* graph) const;

 private:
  int32_t n_threads_;
  ggml_backend_t backend_ = nullptr;
  struct ggml_threadpool* pool_ = nullptr;
};

// A graph under construction with its own node memory and its own activations, both reused from
// pass to pass.
class GraphArena {
 public:
  explicit GraphArena(const Backend& backend, size_t n_nodes_max = 8192);
  ~GraphArena();
  GraphArena(const GraphArena&) = delete;
  GraphArena& operator=(const GraphArena&) = delete;

  int32_t n_threads() const { return backend_.n_threads(); }
  // Forgets the last graph and starts an empty one.
  void begin();
  ggml_context* ctx() const { return ctx_; }
  ggml_cgraph* graph() const { return graph_; }
  // An input of the graph, whose data may be set after allocate().
  ggml_tensor* input(ggml_type type, int64_t ne0, int64_t ne1 = 1);
  // A tensor over memory of the caller: ne[0] values contiguous, nb1 and nb2 in bytes.
  ggml_tensor* view(ggml_backend_buffer_t buffer, void* data, ggml_type type,
                    const int64_t (&ne)[3], size_t nb1, size_t nb2);
  // Gives every tensor of the graph its place. Allocates memory only when the graph is larger than
  // any before.
  void allocate();
  void compute() { backend_.compute(graph_); }

 private:
  const Backend& backend_;
  size_t n_nodes_max_;
  ggml_context* ctx_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
  ggml_gallocr_t allocator_ = nullptr;
};

}  // namespace reprise
