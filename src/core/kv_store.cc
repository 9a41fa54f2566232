#include "core/kv_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <numeric>

#include "core/error.h"

namespace reprise {
namespace {

constexpr int32_t kGrowth = 256;  // entries by which a layer without a reservation grows

}  // namespace

KvStore::KvStore(const std::vector<KvLayerShape>& shapes, const KvPlacement& placement)
    : memory_(std::make_unique<KvMemory>(placement)) {
  for (const KvLayerShape& shape : shapes) {
    check_kv_shape(shape.kv);
    layers_.emplace_back().shape = shape;
  }
}

int32_t KvStore::capacity(int32_t il) const {
  return layers_[il].block ? layers_[il].block->capacity() : 0;
}

int64_t KvStore::n_held_bytes() const {
  int64_t sum = 0;
  for (const Layer& layer : layers_) sum += layer.shape.entry_bytes() * layer.count;
  return sum;
}

void KvStore::resize(Layer& layer, int32_t capacity) {
  const KvShape& kv = layer.shape.kv;
  const int32_t n_keep = layer.count;
  const int32_t old_capacity = layer.block ? layer.block->capacity() : 0;
  KvBlock block(kv, capacity, *memory_);
  capacity = block.capacity();
  std::vector<int32_t> positions(static_cast<size_t>(kv.n_head_kv) * capacity);
  std::vector<std::byte> rows(2 * kv.row_bytes() * n_keep);
  std::vector<int32_t> slots(n_keep);
  std::iota(slots.begin(), slots.end(), 0);
  for (int32_t g = 0; g < kv.n_head_kv && n_keep > 0; ++g) {
    std::byte* v_rows = rows.data() + kv.row_bytes() * n_keep;
    layer.block->gather(g, slots, rows.data(), v_rows);
    block.scatter(g, 0, n_keep, rows.data(), v_rows);
    std::copy_n(layer.positions.begin() + static_cast<int64_t>(g) * old_capacity, n_keep,
                positions.begin() + static_cast<int64_t>(g) * capacity);
  }
  layer.block = std::move(block);
  layer.positions = std::move(positions);
  layer.counted.emplace(*memory_, static_cast<int64_t>(sizeof(int32_t)) * kv.n_head_kv * capacity);
}

void KvStore::reserve(int32_t il, int32_t n_entries) {
  const int32_t n_swa = layers_[il].shape.n_swa;
  if (n_swa > 0) n_entries = std::min(n_entries, n_swa + kMaxPass);
  if (n_entries > capacity(il)) resize(layers_[il], n_entries);
}

void KvStore::make_room(int32_t il, int32_t n_new) {
  Layer& layer = layers_[il];
  const int32_t n_needed = layer.count + n_new;
  const int32_t n_swa = layer.shape.n_swa;
  const int32_t most = n_swa > 0 ? n_swa + kMaxPass : INT32_MAX;  // a block may have room for more
  if (n_needed <= std::min(capacity(il), most)) return;
  if (n_swa == 0) {
    reserve(il, (n_needed + kGrowth - 1) / kGrowth * kGrowth);
    return;
  }
  assert(n_new <= kMaxPass);
  reserve(il, most);
  if (n_needed <= most) return;
  const int32_t n_keep = std::min(layer.count, n_swa - 1);  // all that the next token still sees
  const int32_t n_drop = layer.count - n_keep;
  layer.block->shift(0, n_drop, n_keep);
  for (int32_t g = 0; g < layer.shape.kv.n_head_kv; ++g) {
    const auto head = layer.positions.begin() + static_cast<int64_t>(g) * capacity(il);
    std::copy(head + n_drop, head + layer.count, head);
  }
  layer.count = n_keep;
}

void KvStore::commit(int32_t il, int32_t n, int32_t first_position) {
  Layer& layer = layers_[il];
  assert(layer.count + n <= capacity(il));
  for (int32_t g = 0; g < layer.shape.kv.n_head_kv; ++g) {
    const auto first = layer.positions.begin() + static_cast<int64_t>(g) * capacity(il);
    std::iota(first + layer.count, first + layer.count + n, first_position);
  }
  layer.count += n;
}

void KvStore::truncate(int32_t il, int32_t n) {
  assert(n <= layers_[il].count);
  layers_[il].count = n;
}

std::vector<int32_t> KvStore::slots_by_position(int32_t il, int32_t g) const {
  std::vector<int32_t> slots(count(il));
  std::iota(slots.begin(), slots.end(), 0);
  std::ranges::sort(slots, {}, [&](int32_t slot) { return position(il, g, slot); });
  return slots;
}

void KvStore::replace(int32_t il, int32_t g, int32_t to, int32_t from) {
  Layer& layer = layers_[il];
  layer.block->replace(g, to, from);
  const auto head = layer.positions.begin() + static_cast<int64_t>(g) * capacity(il);
  head[to] = head[from];
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): by value, for this call frees the pages
void KvStore::adopt(int32_t il, KvPages pages, int32_t position_offset, int32_t n_growth) {
  Layer& layer = layers_[il];
  const int32_t n_new = pages.count();
  if (layer.count + n_new + n_growth > capacity(il)) {
    resize(layer, layer.count + n_new + n_growth);
  }
  std::vector<int32_t> slots(n_new);
  for (int32_t g = 0; g < layer.shape.kv.n_head_kv; ++g) {
    pages.copy_to(g, *layer.block, layer.count, slots);
    const auto first =
        layer.positions.begin() + static_cast<int64_t>(g) * capacity(il) + layer.count;
    std::transform(slots.begin(), slots.end(), first,
                   [&](int32_t slot) { return slot + position_offset; });
  }
  layer.count += n_new;
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): by value, for this call frees the pages
KvStore::Detached KvStore::detached(int32_t il, KvPages pages, int32_t n_past, int32_t n_growth) {
  Detached out;
  Layer& layer = out.layer_;
  layer.shape = layers_[il].shape;
  const int32_t n_kept = pages.count();
  resize(layer, n_kept + n_growth);
  const int32_t n_held = count(il);
  std::vector<int32_t> slots(n_kept);
  for (int32_t g = 0; g < layer.shape.kv.n_head_kv; ++g) {
    pages.copy_to(g, *layer.block, 0, slots);
    const std::vector<int32_t> held = slots_by_position(il, g);
    const auto first = layer.positions.begin() + static_cast<int64_t>(g) * layer.block->capacity();
    std::ranges::transform(slots, first, [&](int32_t slot) {
      return slot < n_held ? position(il, g, held[slot]) : n_past + slot - n_held;
    });
  }
  layer.count = n_kept;
  return out;
}

void KvStore::exchange(int32_t il, Detached& contents) noexcept {
  // By members: GCC 12 warns wrongly of a whole layer's temporary.
  Layer& layer = layers_[il];
  Layer& other = contents.layer_;
  std::swap(layer.shape, other.shape);
  std::swap(layer.count, other.count);
  layer.block.swap(other.block);
  layer.positions.swap(other.positions);
  layer.counted.swap(other.counted);
}

// Layout: count, then for each KV head its positions, K rows and V rows.
std::vector<std::byte> KvStore::save_layer(int32_t il) const {
  const Layer& layer = layers_[il];
  const KvShape& kv = layer.shape.kv;
  const int32_t n = layer.count;
  std::vector<std::byte> bytes(sizeof(int32_t) + layer.shape.entry_bytes() * n);
  std::memcpy(bytes.data(), &n, sizeof n);
  std::vector<int32_t> slots(n);
  std::iota(slots.begin(), slots.end(), 0);
  std::byte* to = bytes.data() + sizeof n;
  for (int32_t g = 0; g < kv.n_head_kv && n > 0; ++g) {
    std::memcpy(to, layer.positions.data() + static_cast<size_t>(g) * capacity(il),
                sizeof(int32_t) * n);
    to += sizeof(int32_t) * n;
    layer.block->gather(g, slots, to, to + kv.row_bytes() * n);
    to += 2 * kv.row_bytes() * n;
  }
  return bytes;
}

void KvStore::restore_layer(int32_t il, std::span<const std::byte> bytes) {
  Layer& layer = layers_[il];
  const KvShape& kv = layer.shape.kv;
  int32_t n = 0;
  if (bytes.size() >= sizeof n) std::memcpy(&n, bytes.data(), sizeof n);
  const int32_t most = layer.shape.n_swa > 0 ? layer.shape.n_swa + kMaxPass : INT32_MAX / 2;
  if (bytes.size() < sizeof n || n < 0 || n > most ||
      bytes.size() != sizeof n + static_cast<size_t>(layer.shape.entry_bytes()) * n) {
    throw Error(
        fmt::format("layer {} of a saved KV cache has {} bytes for {} entries; it is damaged "
                    "or belongs to another model",
                    il, bytes.size(), n));
  }
  layer.count = 0;
  reserve(il, n);
  const std::byte* from = bytes.data() + sizeof n;
  for (int32_t g = 0; g < kv.n_head_kv && n > 0; ++g) {
    std::memcpy(layer.positions.data() + static_cast<size_t>(g) * capacity(il), from,
                sizeof(int32_t) * n);
    from += sizeof(int32_t) * n;
    layer.block->scatter(g, 0, n, from, from + kv.row_bytes() * n);
    from += 2 * kv.row_bytes() * n;
  }
  layer.count = n;
}

void KvStore::clear() {
  for (Layer& layer : layers_) layer.count = 0;
}

}  // namespace reprise
