#include "core/read_bandwidth.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/error.h"
#include "core/kernels/memory_sum.h"
#include "core/machine.h"
#include "core/quantities.h"
#include "core/resident_memory.h"

namespace reprise {
namespace {

constexpr int32_t kPasses = 5;
constexpr auto kPart = static_cast<int64_t>(kHugePageBytes);
constexpr int64_t kLeastBytes = int64_t{256} << 20;

}  // namespace

int64_t ReadBandwidth::buffer_bytes(int64_t last_cache_bytes, int64_t free_bytes) {
  const int64_t wanted = std::max(kLeastBytes, 2 * last_cache_bytes);
  return free_bytes > 0 ? std::min(wanted, free_bytes / 4) : wanted;
}

ReadBandwidth::ReadBandwidth()
    : ReadBandwidth(buffer_bytes(last_cache_bytes(), available_memory())) {}

ReadBandwidth::ReadBandwidth(int64_t n_bytes)
    : n_bytes_(std::max(n_bytes / kPart, int64_t{1}) * kPart),
      bytes_(allocate_huge_pages(static_cast<size_t>(n_bytes_))) {
  if (bytes_ == nullptr) {
    throw Error(fmt::format("out of memory for measuring the read bandwidth: {} are needed",
                            format_bytes(n_bytes_)));
  }
  std::memset(bytes_.get(), 1, static_cast<size_t>(n_bytes_));
}

void ReadBandwidth::add_up(ggml_tensor* /*dst*/, int ith, int /*nth*/, void* self_pointer) {
  auto* self = static_cast<ReadBandwidth*>(self_pointer);
  const int64_t n_parts = self->n_bytes_ / kPart;
  for (int64_t i; (i = self->parts_.take()) < n_parts;)
    self->sums_[ith] += memory_sum(self->bytes_.get() + i * kPart, kHugePageBytes);
}

double ReadBandwidth::measure(const Backend& backend) {
  using Clock = std::chrono::steady_clock;
  GraphArena arena(backend, 16);
  sums_.assign(backend.n_threads(), 0);
  double best_s = 0;
  for (int32_t i = 0; i < kPasses; ++i) {
    parts_.restart();
    arena.begin();
    ggml_tensor* none = arena.input(GGML_TYPE_F32, 1);
    ggml_build_forward_expand(
        arena.graph(), ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &none, 1, add_up,
                                      GGML_N_TASKS_MAX, this));
    arena.allocate();
    const Clock::time_point start = Clock::now();
    arena.compute();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best_s = i == 0 ? seconds : std::min(best_s, seconds);
  }
  return static_cast<double>(n_bytes_) / best_s;
}

std::string ReadBandwidth::description() const {
  const int64_t cache = last_cache_bytes();
  return fmt::format("over {} in {} pages (last cache: {})", format_bytes(n_bytes_),
                     has_huge_pages() ? "large" : "small",
                     cache > 0 ? format_bytes(cache) : "unknown");
}

}  // namespace reprise
