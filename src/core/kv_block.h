#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/backend.h"
#include "core/kernels/attention.h"
#include "core/kv_memory.h"

namespace reprise {

// What one layer stores for each entry.
struct KvShape {
  int32_t n_embd_head = 0;
  int32_t n_head_kv = 0;
  ggml_type type = GGML_TYPE_F16;  // f32, f16, q8_0 or q4_0, of K and of V

  // Bytes of one K row, or of one V row, of one KV head.
  size_t row_bytes() const { return ggml_row_size(type, n_embd_head); }
  // Bytes of one entry in all KV heads, K and V.
  int64_t entry_bytes() const { return 2 * static_cast<int64_t>(row_bytes()) * n_head_kv; }
};

// Throws Error when the type is no cache type or its blocks do not divide n_embd_head.
void check_kv_shape(const KvShape& shape);

// Keys and values of one layer in one piece: a slot is an entry's index, and each KV head may hold
// another token in the same slot. K and V stand in rows of n_embd_head values (row_bytes() each),
// the rows of one KV head one after the other, as kernels/attention.h wants them. Graphs take k(),
// v() and put(); everybody else moves whole rows with gather(), scatter() and replace().
class KvBlock {
 public:
  // Room for `capacity` entries, or for more where the placement of `memory` says so. Throws Error
  // when memory is short.
  KvBlock(const KvShape& shape, int32_t capacity, KvMemory& memory);

  const KvShape& shape() const { return shape_; }
  int32_t capacity() const { return capacity_; }
  int64_t n_bytes() const { return shape_.entry_bytes() * capacity_; }

  // Graph tensors over slots [first, first + n): [n_embd_head, n, n_head_kv].
  ggml_tensor* k(GraphArena& arena, int32_t first, int32_t n) const;
  ggml_tensor* v(GraphArena& arena, int32_t first, int32_t n) const;
  // All slots as the CPU's kernels take them; in the CPU's memory alone.
  KvRows k_rows() const;
  KvRows v_rows() const;
  // Entries that a view of slots [0, n) may span besides: capacities are multiples of it.
  int32_t unit() const { return unit_; }
  // Lets tensors that k() and v() of this or another block of the same shape gave show these slots.
  void show(ggml_tensor* k, ggml_tensor* v, int32_t first, int32_t n) const;
  // Adds the nodes that store k and v [n_embd_head, n_head_kv, n_tokens] F32 in slots [first, first
  // + n_tokens).
  void put(GraphArena& arena, int32_t first, ggml_tensor* k, ggml_tensor* v) const;

  // Copies the rows in `slots` of KV head g to k_rows and v_rows in the CPU's memory, one after the
  // other.
  void gather(int32_t g, std::span<const int32_t> slots, std::byte* k_rows,
              std::byte* v_rows) const;
  // Copies rows into slots first, first + 1, ... of KV head g.
  void scatter(int32_t g, int32_t first, int32_t n, const std::byte* k_rows,
               const std::byte* v_rows);
  // Overwrites slot `to` of KV head g with slot `from`. Allocates nothing in the CPU's memory.
  void replace(int32_t g, int32_t to, int32_t from);
  // Moves slots [from, from + n) of every KV head to [to, to + n). Allocates nothing in the CPU's
  // memory.
  void shift(int32_t to, int32_t from, int32_t n);

 private:
  void allocate(KvMemory& memory);
  struct BufferFree {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
  };
  std::byte* k_row(int32_t g, int32_t slot) const;
  std::byte* v_row(int32_t g, int32_t slot) const;
  ggml_tensor* view(GraphArena& arena, std::byte* first, int32_t n) const;
  // Between the block and the CPU's memory; n_bytes from `at` on, which k_row() or v_row() gave.
  ggml_tensor bytes_at(const std::byte* at, size_t n_bytes) const;
  void read(const std::byte* at, size_t n_bytes, std::byte* to) const;
  void write(std::byte* at, size_t n_bytes, const std::byte* from);
  void move(std::byte* to, const std::byte* from, size_t n_bytes);

  KvShape shape_;
  int32_t unit_;
  int32_t capacity_;
  KvBytes counted_;
  std::shared_ptr<std::byte> area_;  // of the CPU's memory, where the buffer has none of its own
  std::unique_ptr<ggml_backend_buffer, BufferFree> buffer_;
  std::byte* base_ = nullptr;  // of the buffer, in its own memory
  bool is_host_ = true;        // the CPU may follow it
  const DeviceKernels* kernels_;
};

}  // namespace reprise
