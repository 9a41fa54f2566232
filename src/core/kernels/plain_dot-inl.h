// A row of quantised weights times a token's bytes in a plain loop, compiled once per SIMD target.
#if defined(REPRISE_PLAIN_DOT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_PLAIN_DOT_INL
#undef REPRISE_PLAIN_DOT_INL
#else
#define REPRISE_PLAIN_DOT_INL
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/kernels/quant_blocks-inl.h"
#include "core/kernels/token_matvec.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

template <class Blocks>
float plain_dot(const std::byte* row, int64_t n_in, const RoundedToken& x) {
  float out = 0;
  for (int64_t b = 0; b < n_in / kBlock; ++b) {
    const UnpackedBlock block = unpack_block<Blocks>(row, b);
    int32_t sum = 0;
    for (int64_t i = 0; i < kBlock; ++i) sum += block.q[i] * x.q[b * kBlock + i];
    out += static_cast<float>(sum) * (block.scale * x.scale[b]) + block.min * x.scaled_sum[b];
  }
  return out;
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_PLAIN_DOT_INL
