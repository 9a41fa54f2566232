// Integer dot products of bytes, compiled once per SIMD target: Highway 1.0.3 has none.
#if defined(REPRISE_INT_DOT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_INT_DOT_INL
#undef REPRISE_INT_DOT_INL
#else
#define REPRISE_INT_DOT_INL
#endif

#include <hwy/highway.h>

#include <cstdint>

// The scalar target has no vectors of four bytes: kernels keep a plain loop for it.
#if HWY_TARGET != HWY_SCALAR

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using I32 = hn::ScalableTag<int32_t>;
using I8 = hn::Repartition<int8_t, I32>;
using U8 = hn::Repartition<uint8_t, I32>;

// Whether a lane of 32 bits takes four products without leaving the registers' full width: the
// targets with VNNI. Elsewhere two steps through 16 bits stand for it.
#undef REPRISE_HAS_VNNI
#if HWY_TARGET == HWY_AVX3_DL
#define REPRISE_HAS_VNNI 1
#else
#define REPRISE_HAS_VNNI 0
#endif

// What biased() adds to each weight: dot4(sum, biased(w), x) adds (w + kDotBias) x, and the caller
// takes kDotBias times the sum of x off again. VNNI multiplies unsigned bytes with signed ones.
inline constexpr int32_t kDotBias = REPRISE_HAS_VNNI ? 128 : 0;

// Weights in -128..127 as dot4() takes them.
HWY_INLINE hn::Vec<I8> biased(hn::Vec<I8> w) {
#if REPRISE_HAS_VNNI
  return hn::Xor(w, hn::Set(I8(), static_cast<int8_t>(-128)));
#else
  return w;
#endif
}

#if !REPRISE_HAS_VNNI
// Sums of four neighbouring products each, from sums of two in 16 bits.
#if HWY_TARGET == HWY_AVX3
HWY_INLINE hn::Vec<I32> add_pairs(hn::Vec<I32> sum, __m512i pairs) {
  return hn::Add(sum, hn::Vec<I32>{_mm512_madd_epi16(pairs, _mm512_set1_epi16(1))});
}
#elif HWY_TARGET == HWY_AVX2
HWY_INLINE hn::Vec<I32> add_pairs(hn::Vec<I32> sum, __m256i pairs) {
  return hn::Add(sum, hn::Vec<I32>{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
}
#elif HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
HWY_INLINE hn::Vec<I32> add_pairs(hn::Vec<I32> sum, __m128i pairs) {
  return hn::Add(sum, hn::Vec<I32>{_mm_madd_epi16(pairs, _mm_set1_epi16(1))});
}
#endif
#endif

// sum + u x in each lane of 32 bits over its four bytes; u in 0..127, x in -127..127.
HWY_INLINE hn::Vec<I32> dot4_u7(hn::Vec<I32> sum, hn::Vec<I8> u, hn::Vec<I8> x) {
#if REPRISE_HAS_VNNI
  // As text: Highway asks the CPU for AVX-512 VNNI, but does not tell the compiler, which then
  // refuses the intrinsic.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(u.raw), "v"(x.raw));
  return sum;
#elif HWY_TARGET == HWY_AVX3
  return add_pairs(sum, _mm512_maddubs_epi16(u.raw, x.raw));
#elif HWY_TARGET == HWY_AVX2
  return add_pairs(sum, _mm256_maddubs_epi16(u.raw, x.raw));
#elif HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
  return add_pairs(sum, _mm_maddubs_epi16(u.raw, x.raw));
#elif HWY_ARCH_ARM_A64 && defined(__ARM_FEATURE_DOTPROD)
  return hn::Vec<I32>(vdotq_s32(sum.raw, u.raw, x.raw));
#elif HWY_ARCH_ARM_A64
  const int16x8_t low = vmull_s8(vget_low_s8(u.raw), vget_low_s8(x.raw));
  const int16x8_t high = vmull_high_s8(u.raw, x.raw);
  return hn::Vec<I32>(vaddq_s32(sum.raw, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))));
#else
  // Even and odd bytes apart, in lanes of 16 bits; products of two then meet in 32.
  const hn::Repartition<int16_t, I32> d16;
  const auto odd = [&](hn::Vec<I8> v) { return hn::ShiftRight<8>(hn::BitCast(d16, v)); };
  const auto even = [&](hn::Vec<I8> v) {
    return hn::ShiftRight<8>(hn::ShiftLeft<8>(hn::BitCast(d16, v)));
  };
  const auto halves = [&](hn::Vec<decltype(d16)> a, hn::Vec<decltype(d16)> b) {
    const I32 d;
    const auto low = [&](hn::Vec<decltype(d16)> v) {
      return hn::ShiftRight<16>(hn::ShiftLeft<16>(hn::BitCast(d, v)));
    };
    const auto high = [&](hn::Vec<decltype(d16)> v) {
      return hn::ShiftRight<16>(hn::BitCast(d, v));
    };
    return hn::Add(hn::Mul(low(a), low(b)), hn::Mul(high(a), high(b)));
  };
  return hn::Add(sum, hn::Add(halves(even(u), even(x)), halves(odd(u), odd(x))));
#endif
}

// sum + (w + kDotBias) x in each lane of 32 bits over its four bytes; w as biased() returns it, x
// in -127..127.
HWY_INLINE hn::Vec<I32> dot4(hn::Vec<I32> sum, hn::Vec<I8> w, hn::Vec<I8> x) {
#if HWY_TARGET == HWY_AVX3
  const __mmask64 is_negative = _mm512_movepi8_mask(w.raw);
  const __m512i signed_x = _mm512_mask_sub_epi8(x.raw, is_negative, _mm512_setzero_si512(), x.raw);
  return add_pairs(sum, _mm512_maddubs_epi16(_mm512_abs_epi8(w.raw), signed_x));
#elif HWY_TARGET == HWY_AVX2
  return add_pairs(sum,
                   _mm256_maddubs_epi16(_mm256_abs_epi8(w.raw), _mm256_sign_epi8(x.raw, w.raw)));
#elif HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
  return add_pairs(sum, _mm_maddubs_epi16(_mm_abs_epi8(w.raw), _mm_sign_epi8(x.raw, w.raw)));
#else
  return dot4_u7(sum, w, x);  // VNNI takes all unsigned bytes, the others all signed ones
#endif
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // HWY_TARGET != HWY_SCALAR

#endif  // REPRISE_INT_DOT_INL
