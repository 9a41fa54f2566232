#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>

namespace reprise {

// Until its end every kernel runs as compiled for one SIMD target.
class ForcedSimdTarget {
 public:
  explicit ForcedSimdTarget(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
  }
  ~ForcedSimdTarget() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ForcedSimdTarget(const ForcedSimdTarget&) = delete;
  ForcedSimdTarget& operator=(const ForcedSimdTarget&) = delete;
};

// Calls f(name) under every SIMD target of this CPU, the scalar one last. The kernels must be
// compiled for all attainable targets: one left out would run as the scalar one
// (PanelMatmul.EveryTargetIsCompiledIn asks).
template <class F>
void for_each_simd_target(F&& f) {
  constexpr int64_t kFallbacks = HWY_EMU128 | HWY_SCALAR;
  const int64_t supported = hwy::SupportedTargets();
  int32_t n_targets = 0;
  for (int64_t rest = supported & ~kFallbacks; rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    const ForcedSimdTarget forced(target);
    f(hwy::TargetName(target));
    ++n_targets;
  }
  // A compiler builds one of the two fallbacks, and both stand in the same place of a kernel's
  // table.
  const ForcedSimdTarget forced(HWY_SCALAR);
  f("SCALAR");
  ++n_targets;
#if HWY_ARCH_X86
  EXPECT_GE(n_targets, 2) << "only the scalar kernels ran";
#endif
}

}  // namespace reprise
