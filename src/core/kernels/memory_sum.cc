#include "core/kernels/memory_sum.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/memory_sum.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/highway.h>

#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kLine = 64;
constexpr size_t kStep = 4 * kLine;  // bytes of one turn of the loop
constexpr size_t kSums = 4;          // so that no addition waits for the one before
// As in decode attention (rows-inl.h), into the second cache: it keeps more requests under way.
constexpr size_t kAhead = 4096;

using Words = hn::ScalableTag<uint64_t>;
constexpr size_t kLanes = hn::MaxLanes(Words());

uint64_t sum(const std::byte* HWY_RESTRICT first, size_t n_bytes) {
  const Words d;
  hn::Vec<Words> sums[kSums];
  for (auto& value : sums) value = hn::Zero(d);
  size_t at = 0;
  for (; at + kStep <= n_bytes; at += kStep) {
    const std::byte* from = first + at;
    for (size_t line = 0; line < kStep; line += kLine)
      __builtin_prefetch(from + kAhead + line, 0, 2);
    const auto* words = reinterpret_cast<const uint64_t*>(from);
    for (size_t i = 0; i < kStep / sizeof(uint64_t) / kLanes; ++i)
      sums[i % kSums] = hn::Add(sums[i % kSums], hn::LoadU(d, words + i * kLanes));
  }
  uint64_t lanes[kLanes];
  hn::StoreU(hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3])), d, lanes);
  uint64_t total = 0;
  for (const uint64_t lane : lanes) total += lane;
  for (; at + sizeof(uint64_t) <= n_bytes; at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, first + at, sizeof(word));
    total += word;
  }
  return total;
}

}  // namespace
}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(sum);

}  // namespace

uint64_t memory_sum(const std::byte* first, size_t n_bytes) {
  return HWY_DYNAMIC_DISPATCH(sum)(first, n_bytes);
}

}  // namespace reprise
#endif  // HWY_ONCE
