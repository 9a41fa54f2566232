#include "core/kv_block.h"

#include <fmt/format.h>

#include <cassert>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

// Smaller blocks are not worth the pages of an area.
constexpr int64_t kLeastAreaBytes = int64_t{64} << 10;

void prefetch(const std::byte* at, size_t n_bytes) {
  constexpr size_t kCacheLine = 64;
  for (size_t i = 0; i < n_bytes; i += kCacheLine) __builtin_prefetch(at + i);
}

}  // namespace

void check_kv_shape(const KvShape& shape) {
  const bool is_known = shape.type == GGML_TYPE_F32 || shape.type == GGML_TYPE_F16 ||
                        shape.type == GGML_TYPE_Q8_0 || shape.type == GGML_TYPE_Q4_0;
  if (!is_known)
    throw Error(fmt::format("KV cache type {}: f32, f16, q8_0 and q4_0 are built in",
                            ggml_type_name(shape.type)));
  if (shape.n_embd_head % ggml_blck_size(shape.type) != 0) {
    throw Error(fmt::format(
        "KV cache type {} needs heads of a multiple of {} values, this model has {}; use type=f16",
        ggml_type_name(shape.type), ggml_blck_size(shape.type), shape.n_embd_head));
  }
}

KvBlock::KvBlock(const KvShape& shape, int32_t capacity, KvMemory& memory)
    : shape_(shape),
      unit_(memory.placement().unit),
      capacity_((capacity + unit_ - 1) / unit_ * unit_),
      counted_(memory, shape.entry_bytes() * capacity_) {
  assert(capacity > 0);
  allocate(memory);
  if (buffer_ == nullptr) {
    throw Error(
        fmt::format("KV cache: {} entries of a layer need {} bytes, which are not free; lower "
                    "--ctx or the budget",
                    capacity_, n_bytes()));
  }
  base_ = static_cast<std::byte*>(ggml_backend_buffer_get_base(buffer_.get()));
  is_host_ = ggml_backend_buffer_is_host(buffer_.get());
  kernels_ = memory.placement().kernels;
  // Views may then span slots that hold nothing yet, which must not be NaN.
  if (unit_ > 1) ggml_backend_buffer_clear(buffer_.get(), 0);
}

void KvBlock::allocate(KvMemory& memory) {
  ggml_backend_buffer_type_t type = memory.placement().buffer_type;
  if (type == nullptr) type = ggml_backend_cpu_buffer_type();
  if (type != ggml_backend_cpu_buffer_type() || n_bytes() < kLeastAreaBytes) {
    buffer_.reset(ggml_backend_buft_alloc_buffer(type, n_bytes()));
    return;
  }
  area_ = memory.areas().take(n_bytes());
  if (area_ != nullptr) buffer_.reset(ggml_backend_cpu_buffer_from_ptr(area_.get(), n_bytes()));
}

std::byte* KvBlock::k_row(int32_t g, int32_t slot) const {
  assert(g >= 0 && g < shape_.n_head_kv && slot >= 0 && slot < capacity_);
  return base_ + shape_.row_bytes() * (static_cast<size_t>(g) * capacity_ + slot);
}

std::byte* KvBlock::v_row(int32_t g, int32_t slot) const { return k_row(g, slot) + n_bytes() / 2; }

ggml_tensor* KvBlock::view(GraphArena& arena, std::byte* first, int32_t n) const {
  const size_t row = shape_.row_bytes();
  return arena.view(buffer_.get(), first, shape_.type, {shape_.n_embd_head, n, shape_.n_head_kv},
                    row, row * capacity_);
}

ggml_tensor* KvBlock::k(GraphArena& arena, int32_t first, int32_t n) const {
  assert(n > 0 && first + n <= capacity_);
  return view(arena, k_row(0, first), n);
}

ggml_tensor* KvBlock::v(GraphArena& arena, int32_t first, int32_t n) const {
  assert(n > 0 && first + n <= capacity_);
  return view(arena, v_row(0, first), n);
}

KvRows KvBlock::k_rows() const {
  assert(is_host_);
  return {k_row(0, 0), shape_.row_bytes(), shape_.row_bytes() * capacity_};
}

KvRows KvBlock::v_rows() const {
  assert(is_host_);
  return {v_row(0, 0), shape_.row_bytes(), shape_.row_bytes() * capacity_};
}

void KvBlock::show(ggml_tensor* k, ggml_tensor* v, int32_t first, int32_t n) const {
  assert(n > 0 && first + n <= capacity_);
  const auto aim = [&](ggml_tensor* rows, std::byte* data) {
    rows->ne[1] = n;
    rows->nb[2] = shape_.row_bytes() * capacity_;
    rows->nb[3] = rows->nb[2] * shape_.n_head_kv;
    rows->buffer = buffer_.get();
    rows->data = data;
  };
  aim(k, k_row(0, first));
  aim(v, v_row(0, first));
}

void KvBlock::put(GraphArena& arena, int32_t first, ggml_tensor* k_new, ggml_tensor* v_new) const {
  ggml_context* ctx = arena.ctx();
  const auto n = static_cast<int32_t>(k_new->ne[2]);
  const auto store = [&](ggml_tensor* rows, ggml_tensor* to) {  // [n_embd_head, n, n_head_kv]
    if (!ggml_is_quantized(shape_.type)) {
      ggml_build_forward_expand(arena.graph(),
                                ggml_cpy(ctx, ggml_permute(ctx, rows, 0, 2, 1, 3), to));
      return;
    }
    for (int32_t g = 0; g < shape_.n_head_kv; ++g) {
      // One copy a KV head: ggml quantises into contiguous targets only.
      ggml_tensor* from = ggml_view_2d(ctx, rows, rows->ne[0], n, rows->nb[2], g * rows->nb[1]);
      ggml_tensor* head = ggml_view_2d(ctx, to, to->ne[0], n, to->nb[1], g * to->nb[2]);
      ggml_build_forward_expand(arena.graph(), ggml_cpy(ctx, from, head));
    }
  };
  store(k_new, k(arena, first, n));
  store(v_new, v(arena, first, n));
}

ggml_tensor KvBlock::bytes_at(const std::byte* at, size_t n_bytes) const {
  ggml_tensor bytes{};
  bytes.type = GGML_TYPE_I8;
  bytes.ne[0] = static_cast<int64_t>(n_bytes);
  bytes.nb[0] = 1;
  for (int i = 1; i < GGML_MAX_DIMS; ++i) {
    bytes.ne[i] = 1;
    bytes.nb[i] = n_bytes;
  }
  bytes.buffer = buffer_.get();
  bytes.data = const_cast<std::byte*>(at);
  return bytes;
}

void KvBlock::read(const std::byte* at, size_t n_bytes, std::byte* to) const {
  if (is_host_) {
    std::memcpy(to, at, n_bytes);
    return;
  }
  const ggml_tensor bytes = bytes_at(at, n_bytes);
  ggml_backend_tensor_get(&bytes, to, 0, n_bytes);
}

void KvBlock::write(std::byte* at, size_t n_bytes, const std::byte* from) {
  if (is_host_) {
    std::memcpy(at, from, n_bytes);
    return;
  }
  ggml_tensor bytes = bytes_at(at, n_bytes);
  ggml_backend_tensor_set(&bytes, from, 0, n_bytes);
}

void KvBlock::move(std::byte* to, const std::byte* from, size_t n_bytes) {
  if (is_host_) {
    std::memmove(to, from, n_bytes);
    return;
  }
  std::vector<std::byte> copy(
      n_bytes);  // the two may overlap, which a device's copy does not allow
  read(from, n_bytes, copy.data());
  write(to, n_bytes, copy.data());
}

void KvBlock::gather(int32_t g, std::span<const int32_t> slots, std::byte* k_rows,
                     std::byte* v_rows) const {
  if (slots.empty()) return;
  const size_t row = shape_.row_bytes();
  const auto n_from = [&](size_t i) {  // neighbours together: on a device every copy waits for it
    size_t n = 1;
    while (i + n < slots.size() && slots[i + n] == slots[i + n - 1] + 1) ++n;
    return n;
  };
  if (kernels_ != nullptr && n_from(0) < slots.size()) {
    kernels_->gather_rows(k_row(g, 0), v_row(g, 0), row, slots, k_rows, v_rows);
    return;
  }
  constexpr size_t kAhead = 16;  // rows asked for before they are copied: they stand anywhere
  for (size_t i = 0, n = 0; i < slots.size(); i += n) {
    n = n_from(i);
    if (is_host_ && i + kAhead < slots.size()) {
      prefetch(k_row(g, slots[i + kAhead]), row);
      prefetch(v_row(g, slots[i + kAhead]), row);
    }
    read(k_row(g, slots[i]), row * n, k_rows + row * i);
    read(v_row(g, slots[i]), row * n, v_rows + row * i);
  }
}

void KvBlock::scatter(int32_t g, int32_t first, int32_t n, const std::byte* k_rows,
                      const std::byte* v_rows) {
  if (n == 0) return;
  assert(first >= 0 && first + n <= capacity_);
  write(k_row(g, first), shape_.row_bytes() * n, k_rows);
  write(v_row(g, first), shape_.row_bytes() * n, v_rows);
}

void KvBlock::replace(int32_t g, int32_t to, int32_t from) {
  if (to == from) return;
  move(k_row(g, to), k_row(g, from), shape_.row_bytes());
  move(v_row(g, to), v_row(g, from), shape_.row_bytes());
}

void KvBlock::shift(int32_t to, int32_t from, int32_t n) {
  assert(to >= 0 && from >= 0 && to + n <= capacity_ && from + n <= capacity_);
  if (n == 0 || to == from) return;
  for (int32_t g = 0; g < shape_.n_head_kv; ++g) {
    move(k_row(g, to), k_row(g, from), shape_.row_bytes() * n);
    move(v_row(g, to), v_row(g, from), shape_.row_bytes() * n);
  }
}

}  // namespace reprise
