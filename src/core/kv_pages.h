#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/kv_block.h"

namespace reprise {

// What a cascade has kept of one layer so far: per KV head the entries in descending score order,
// in pages of kPageEntries, and behind them the window. A later stage of the cascade only cuts the
// tails off and gives their pages back; nothing is gathered twice.
class KvPages {
 public:
  // Every head ends in a page that is full by half on average: over all layers those would be 2.4 %
  // of a cascade's peak with 64 entries a page and are 1.2 % with 32.
  static constexpr int32_t kPageEntries = 32;

  KvPages(const KvShape& shape, KvMemory& memory);

  // Copies entries of KV head g out of `from`: `order` holds slots in descending score order,
  // `window` the slots of the window in position order. Called once for each head in turn, with
  // equal sizes.
  void store(int32_t g, const KvBlock& from, std::span<const int32_t> order,
             std::span<const int32_t> window);
  // Keeps the n best of every head. n may not exceed n_ranked().
  void truncate(int32_t n);

  int32_t n_ranked() const { return n_ranked_; }
  int32_t n_window() const { return n_window_; }
  int32_t count() const { return n_ranked_ + n_window_; }
  // Copies head g's entries, ranked ones first, to slots [first, first + count()) of `to`, and the
  // slots they had in store() to from_slots [count()].
  void copy_to(int32_t g, KvBlock& to, int32_t first, std::span<int32_t> from_slots) const;

 private:
  // Of up to n entries.
  struct Page {
    Page(const KvShape& shape, int32_t n, KvMemory& memory);
    int32_t* slots() const { return reinterpret_cast<int32_t*>(bytes.get()); }
    std::byte* k_rows() const { return bytes.get() + sizeof(int32_t) * n; }
    std::byte* v_rows(const KvShape& shape) const { return k_rows() + shape.row_bytes() * n; }
    std::unique_ptr<std::byte[]> bytes;  // slots, rows of K, rows of V
    int32_t n;
    KvBytes counted;
  };
  void fill(Page& page, int32_t g, const KvBlock& from, std::span<const int32_t> slots) const;

  KvShape shape_;
  KvMemory& memory_;
  int32_t n_ranked_ = 0;
  int32_t n_window_ = 0;
  std::vector<std::vector<Page>> ranked_;  // [n_head_kv][pages]
  std::vector<Page> window_;               // [n_head_kv]
};

}  // namespace reprise
