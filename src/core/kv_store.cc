#include "core/kv_store.h"

#include <fmt/format.h>

#include <cassert>
#include <cstring>

#include "core/error.h"

namespace reprise {
namespace {

constexpr size_t kValueBytes = 2;  // F16

int64_t block_bytes(const KvLayerShape& shape, int64_t capacity) {
  return 2 * static_cast<int64_t>(kValueBytes) * shape.n_embd_head * shape.n_head_kv * capacity;
}

}  // namespace

KvStore::KvStore(std::vector<KvLayerShape> shapes) {
  layers_.resize(shapes.size());
  for (size_t il = 0; il < shapes.size(); ++il) layers_[il].shape = shapes[il];
}

void KvStore::clear() {
  for (Layer& layer : layers_) layer.count = 0;
}

void KvStore::reserve(int32_t il, int32_t n_entries) {
  Layer& layer = layers_[il];
  if (n_entries <= layer.capacity) return;
  const int64_t n_bytes = block_bytes(layer.shape, n_entries);
  std::unique_ptr<ggml_backend_buffer, BufferFree> grown(
      ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), n_bytes));
  if (grown == nullptr) {
    throw Error(fmt::format(
        "KV cache: {} entries of layer {} need {} bytes, which are not free; lower --ctx",
        n_entries, il, n_bytes));
  }
  if (layer.count > 0) {
    const auto* from =
        static_cast<const std::byte*>(ggml_backend_buffer_get_base(layer.buffer.get()));
    auto* to = static_cast<std::byte*>(ggml_backend_buffer_get_base(grown.get()));
    const size_t row = kValueBytes * layer.shape.n_embd_head;
    for (int32_t g = 0; g < layer.shape.n_head_kv; ++g) {
      std::memcpy(to + row * n_entries * g, from + row * layer.capacity * g, row * layer.count);
    }
    const int64_t n_rows = static_cast<int64_t>(layer.shape.n_embd_head) * layer.shape.n_head_kv;
    const size_t v_from = kValueBytes * n_rows * layer.capacity;
    const size_t v_to = kValueBytes * n_rows * n_entries;
    for (int64_t r = 0; r < n_rows; ++r) {
      std::memcpy(to + v_to + kValueBytes * n_entries * r,
                  from + v_from + kValueBytes * layer.capacity * r, kValueBytes * layer.count);
    }
  }
  layer.buffer = std::move(grown);
  layer.capacity = n_entries;
}

int64_t KvStore::n_bytes() const {
  int64_t sum = 0;
  for (const Layer& layer : layers_) sum += block_bytes(layer.shape, layer.capacity);
  return sum;
}

ggml_tensor* KvStore::k(GraphArena& arena, int32_t il, int32_t first, int32_t n) const {
  const Layer& layer = layers_[il];
  assert(first >= 0 && n > 0 && first + n <= layer.capacity);
  auto* base = static_cast<std::byte*>(ggml_backend_buffer_get_base(layer.buffer.get()));
  const size_t row = kValueBytes * layer.shape.n_embd_head;
  return arena.view(layer.buffer.get(), base + row * first, GGML_TYPE_F16,
                    {layer.shape.n_embd_head, n, layer.shape.n_head_kv}, row, row * layer.capacity);
}

ggml_tensor* KvStore::v(GraphArena& arena, int32_t il, int32_t first, int32_t n) const {
  const Layer& layer = layers_[il];
  assert(first >= 0 && n > 0 && first + n <= layer.capacity);
  auto* base = static_cast<std::byte*>(ggml_backend_buffer_get_base(layer.buffer.get())) +
               block_bytes(layer.shape, layer.capacity) / 2;
  const size_t row = kValueBytes * layer.capacity;
  return arena.view(layer.buffer.get(), base + kValueBytes * first, GGML_TYPE_F16,
                    {n, layer.shape.n_embd_head, layer.shape.n_head_kv}, row,
                    row * layer.shape.n_embd_head);
}

}  // namespace reprise
