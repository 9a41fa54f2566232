#include "core/kv_pages.h"

#include <algorithm>
#include <cassert>

namespace reprise {

KvPages::Page::Page(const KvShape& shape, int32_t n_entries, KvMemory& memory)
    : bytes(new std::byte[(sizeof(int32_t) + 2 * shape.row_bytes()) * n_entries]),
      n(n_entries),
      counted(memory, static_cast<int64_t>(sizeof(int32_t) + 2 * shape.row_bytes()) * n_entries) {}

KvPages::KvPages(const KvShape& shape, KvMemory& memory)
    : shape_(shape), memory_(memory), ranked_(shape.n_head_kv) {}

void KvPages::fill(Page& page, int32_t g, const KvBlock& from,
                   std::span<const int32_t> slots) const {
  from.gather(g, slots, page.k_rows(), page.v_rows(shape_));
  std::copy(slots.begin(), slots.end(), page.slots());
}

void KvPages::store(int32_t g, const KvBlock& from, std::span<const int32_t> order,
                    std::span<const int32_t> window) {
  assert(static_cast<int32_t>(window_.size()) == g && ranked_[g].empty());
  n_ranked_ = static_cast<int32_t>(order.size());
  n_window_ = static_cast<int32_t>(window.size());
  for (size_t first = 0; first < order.size(); first += kPageEntries) {
    Page& page = ranked_[g].emplace_back(shape_, kPageEntries, memory_);
    fill(page, g, from, order.subspan(first, std::min<size_t>(kPageEntries, order.size() - first)));
  }
  fill(window_.emplace_back(shape_, n_window_, memory_), g, from, window);
}

void KvPages::truncate(int32_t n) {
  assert(n >= 0 && n <= n_ranked_);
  n_ranked_ = n;
  const size_t n_pages = (n + kPageEntries - 1) / kPageEntries;
  for (std::vector<Page>& pages : ranked_) {
    while (pages.size() > n_pages) pages.pop_back();
  }
}

void KvPages::copy_to(int32_t g, KvBlock& to, int32_t first, std::span<int32_t> from_slots) const {
  assert(static_cast<int32_t>(from_slots.size()) == count());
  const auto copy_page = [&](const Page& page, int32_t at, int32_t n) {
    to.scatter(g, first + at, n, page.k_rows(), page.v_rows(shape_));
    std::copy_n(page.slots(), n, from_slots.begin() + at);
  };
  for (int32_t at = 0; at < n_ranked_; at += kPageEntries) {
    copy_page(ranked_[g][at / kPageEntries], at, std::min(kPageEntries, n_ranked_ - at));
  }
  copy_page(window_[g], n_ranked_, n_window_);
}

}  // namespace reprise
