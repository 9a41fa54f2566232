#include "core/arithmetic_peak.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "core/kernels/f16_peak.h"
#include "core/kernels/f32_peak.h"
#include "core/kernels/int8_peak.h"

namespace reprise {
namespace {

constexpr int32_t kPasses = 3;

// A thread's work in one pass: about 20 ms on a CPU with AVX-512.
double run(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kF32:
      return f32_peak(3000);
    case Arithmetic::kF16:
      return f16_peak(1000);
    case Arithmetic::kInt8:
      return int8_peak(8000);
  }
  return 0;
}

}  // namespace

const char* arithmetic_name(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kF32:
      return "F32 multiply-add";
    case Arithmetic::kF16:
      return "F16 multiply-add";
    case Arithmetic::kInt8:
      return "int8 multiply-add";
  }
  return "";
}

ArithmeticPeak::ArithmeticPeak(const Backend& backend, Arithmetic arithmetic)
    : arena_(backend, 16), arithmetic_(arithmetic), done_(backend.n_threads()) {}

void ArithmeticPeak::work(ggml_tensor* /*dst*/, int ith, int /*nth*/, void* self_pointer) {
  auto* self = static_cast<ArithmeticPeak*>(self_pointer);
  self->done_[ith] = run(self->arithmetic_);
}

double ArithmeticPeak::measure() {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int32_t i = 0; i < kPasses; ++i) {
    arena_.begin();
    ggml_tensor* none = arena_.input(GGML_TYPE_F32, 1);
    ggml_build_forward_expand(
        arena_.graph(), ggml_custom_4d(arena_.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &none, 1, work,
                                       GGML_N_TASKS_MAX, this));
    arena_.allocate();
    const Clock::time_point start = Clock::now();
    arena_.compute();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, std::accumulate(done_.begin(), done_.end(), 0.0) / seconds);
  }
  return best;
}

}  // namespace reprise
