#include "core/kv_areas.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace reprise {
namespace {

size_t round_up(size_t n_bytes, size_t unit) { return (n_bytes + unit - 1) / unit * unit; }

}  // namespace

std::shared_ptr<std::byte> KvAreas::take(size_t n_bytes) {
  static const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  n_bytes = round_up(n_bytes, page_bytes);
  if (n_taken_ + n_bytes > n_area_bytes_) {
    const size_t n_new = std::max(round_up(n_bytes, kHugePageBytes), kAreaBytes);
    HugePages area = allocate_huge_pages(n_new);
    if (area == nullptr) return nullptr;
    area_ = std::make_shared<HugePages>(std::move(area));
    n_area_bytes_ = n_new;
    n_taken_ = 0;
  }
  std::byte* const first = area_->get() + n_taken_;
  n_taken_ += n_bytes;
  return {first, [area = area_, n_bytes](std::byte* at) { madvise(at, n_bytes, MADV_DONTNEED); }};
}

}  // namespace reprise
