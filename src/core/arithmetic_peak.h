#pragma once

#include <cstdint>
#include <vector>

#include "core/backend.h"

namespace reprise {

// The arithmetic whose ceiling is measured; each has its loop in kernels/*_peak.cc.
enum class Arithmetic : uint8_t { kF32, kF16, kInt8 };
inline constexpr Arithmetic kAllArithmetic[] = {Arithmetic::kF32, Arithmetic::kF16,
                                                Arithmetic::kInt8};
// "F32 multiply-add"
const char* arithmetic_name(Arithmetic arithmetic);

// How many operations a second the backend's threads make when nothing has to come from memory.
class ArithmeticPeak {
 public:
  ArithmeticPeak(const Backend& backend, Arithmetic arithmetic);

  // Operations a second of all threads together, a multiply-add counting two: the best of a few
  // passes of some 20 ms each.
  double measure();

 private:
  static void work(ggml_tensor* dst, int ith, int nth, void* self);

  GraphArena arena_;
  Arithmetic arithmetic_;
  std::vector<double> done_;  // [n_threads]
};

}  // namespace reprise
