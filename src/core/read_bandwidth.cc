#include "core/read_bandwidth.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <numeric>

#include "core/error.h"

namespace reprise {
namespace {

constexpr int32_t kPasses = 3;

}  // namespace

ReadBandwidth::ReadBandwidth(const Backend& backend, int64_t n_bytes) : arena_(backend, 16) {
  try {
    words_.assign(static_cast<size_t>(n_bytes) / sizeof(uint64_t), 1);
  } catch (const std::bad_alloc&) {
    throw Error("out of memory for measuring the read bandwidth: 256 MiB are needed");
  }
  sums_.resize(backend.n_threads());
}

void ReadBandwidth::add_up(ggml_tensor* /*dst*/, int ith, int nth, void* self_pointer) {
  auto* self = static_cast<ReadBandwidth*>(self_pointer);
  const size_t n = self->words_.size();
  const auto first = self->words_.begin() + static_cast<int64_t>(n * ith / nth);
  const auto last = self->words_.begin() + static_cast<int64_t>(n * (ith + 1) / nth);
  self->sums_[ith] = std::accumulate(first, last, uint64_t{0});
}

double ReadBandwidth::measure() {
  using Clock = std::chrono::steady_clock;
  double best_s = 0;
  for (int32_t i = 0; i < kPasses; ++i) {
    arena_.begin();
    ggml_tensor* none = arena_.input(GGML_TYPE_F32, 1);
    ggml_build_forward_expand(
        arena_.graph(), ggml_custom_4d(arena_.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &none, 1, add_up,
                                       GGML_N_TASKS_MAX, this));
    arena_.allocate();
    const Clock::time_point start = Clock::now();
    arena_.compute();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best_s = i == 0 ? seconds : std::min(best_s, seconds);
  }
  return static_cast<double>(words_.size() * sizeof(uint64_t)) / best_s;
}

}  // namespace reprise
