#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/kv_block.h"
#include "core/kv_memory.h"
#include "core/kv_pages.h"

namespace reprise {

// One layer of the store. A sliding-window layer (n_swa > 0) needs its last n_swa entries only.
struct KvLayerShape {
  KvShape kv;
  int32_t n_swa = 0;

  bool is_eligible() const { return n_swa == 0; }  // for eviction
  // Bytes of one held entry: K, V and its position in every KV head.
  int64_t entry_bytes() const {
    return kv.entry_bytes() + static_cast<int64_t>(sizeof(int32_t)) * kv.n_head_kv;
  }
};

// Keys and values of one sequence. Every layer has a count of its own, and every KV head its own
// set of tokens: slot i of one head need not hold the token of slot i of another. Slots say nothing
// about positions; those are kept beside. Not thread-safe.
class KvStore {
 public:
  // Most tokens that one pass may add to a sliding-window layer.
  static constexpr int32_t kMaxPass = 512;

  // Throws Error when a shape cannot be cached.
  explicit KvStore(const std::vector<KvLayerShape>& shapes, const KvPlacement& placement = {});
  KvStore(KvStore&&) = default;
  // Swaps: layers must go before the memory that counts them.
  KvStore& operator=(KvStore&& other) noexcept {
    memory_.swap(other.memory_);
    layers_.swap(other.layers_);
    return *this;
  }

  int32_t n_layer() const { return static_cast<int32_t>(layers_.size()); }
  const KvLayerShape& shape(int32_t il) const { return layers_[il].shape; }
  int32_t count(int32_t il) const { return layers_[il].count; }
  int32_t capacity(int32_t il) const;
  KvBlock& block(int32_t il) { return *layers_[il].block; }
  // Position of the token in a slot, counted from the start of the sequence.
  int32_t position(int32_t il, int32_t g, int32_t slot) const {
    return layers_[il].positions[static_cast<size_t>(g) * capacity(il) + slot];
  }
  KvMemory& memory() { return *memory_; }
  // Bytes of the entries held, positions included; blocks may be larger (memory().current()).
  int64_t n_held_bytes() const;

  // Room for n_entries in all, keeping what is there; a sliding-window layer takes no more than it
  // can use. Throws Error when memory is short.
  void reserve(int32_t il, int32_t n_entries);
  // Makes room for n_new entries behind count(): grows the layer, or forgets what has left the
  // window. n_new <= kMaxPass in sliding-window layers. Throws Error when memory is short.
  void make_room(int32_t il, int32_t n_new);
  // The slots behind count() hold n tokens now, from this position on.
  void commit(int32_t il, int32_t n, int32_t first_position);
  // Forgets all slots from n on.
  void truncate(int32_t il, int32_t n);
  // Slots of KV head g in the order of their positions.
  std::vector<int32_t> slots_by_position(int32_t il, int32_t g) const;
  // Overwrites slot `to` of KV head g with slot `from`. Allocates nothing.
  void replace(int32_t il, int32_t g, int32_t to, int32_t from);
  // Appends what a cascade has kept of a prompt, and room for n_growth more. Slot s of the store()
  // call held position s + position_offset. Frees the pages. Throws Error when memory is short.
  void adopt(int32_t il, KvPages pages, int32_t position_offset, int32_t n_growth);
  // The contents of a layer, apart from the store.
  class Detached;
  // What a cascade has kept of a layer's entries and of a prompt behind them, with room for
  // n_growth more; the layer itself stays as it is. Slots of the store() call below count(il) were
  // the layer's entries, slots_by_position() for each head; those behind are of positions n_past,
  // n_past + 1, ... Frees the pages. Throws Error when memory is short.
  Detached detached(int32_t il, KvPages pages, int32_t n_past, int32_t n_growth);
  // Swaps the contents of layer il with these.
  void exchange(int32_t il, Detached& contents) noexcept;
  void clear();

  // Everything one layer holds, as bytes; restore_layer() puts it back in place of what is there.
  // Throws Error when the bytes do not belong to a layer of this shape or memory is short.
  std::vector<std::byte> save_layer(int32_t il) const;
  void restore_layer(int32_t il, std::span<const std::byte> bytes);

 private:
  struct Layer {
    KvLayerShape shape;
    int32_t count = 0;
    std::optional<KvBlock> block;
    std::vector<int32_t> positions;  // [n_head_kv][capacity]
    std::optional<KvBytes> counted;  // of the positions
  };
  void resize(Layer& layer, int32_t capacity);

  std::unique_ptr<KvMemory> memory_;
  std::vector<Layer> layers_;
};

// The store that made it must outlive it.
class KvStore::Detached {
 private:
  friend class KvStore;
  Layer layer_;
};

}  // namespace reprise
