#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/backend.h"

namespace reprise {

// What one layer stores for each entry.
struct KvLayerShape {
  int32_t n_embd_head = 0;
  int32_t n_head_kv = 0;
};

// Keys and values of one sequence, F16, a contiguous block a layer with a capacity and a count of
// its own. V is kept transposed per KV head, which makes the second matrix product of attention
// read it along its rows.
class KvStore {
 public:
  explicit KvStore(std::vector<KvLayerShape> shapes);

  // Makes room for n_entries in layer il, keeping what is there. Throws Error when memory is short.
  void reserve(int32_t il, int32_t n_entries);
  int32_t count(int32_t il) const { return layers_[il].count; }
  int32_t capacity(int32_t il) const { return layers_[il].capacity; }
  void set_count(int32_t il, int32_t n) { layers_[il].count = n; }
  void clear();
  int64_t n_bytes() const;  // of all blocks

  // Tensors over entries [first, first + n): K [n_embd_head, n, n_head_kv], V [n, n_embd_head,
  // n_head_kv].
  ggml_tensor* k(GraphArena& arena, int32_t il, int32_t first, int32_t n) const;
  ggml_tensor* v(GraphArena& arena, int32_t il, int32_t first, int32_t n) const;

 private:
  struct BufferFree {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
  };
  struct Layer {
    KvLayerShape shape;
    int32_t capacity = 0;
    int32_t count = 0;
    std::unique_ptr<ggml_backend_buffer, BufferFree> buffer;
  };
  std::vector<Layer> layers_;
};

}  // namespace reprise
