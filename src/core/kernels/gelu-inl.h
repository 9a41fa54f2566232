// GELU of a vector, compiled once per SIMD target. Include guard after Highway's convention for
// such headers.
#if defined(REPRISE_GELU_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REPRISE_GELU_INL
#undef REPRISE_GELU_INL
#else
#define REPRISE_GELU_INL
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// With u = |x|: x Phi(x) = (x + u) / 2 - u Phi(-u), and Phi(-u) = 2^q(u) with q smooth. q is a
// polynomial of degree 6 on [0, 6.5] that makes the largest u Phi(-u) ln 2 |error of q| smallest:
// 5.2e-8. Behind 6.5 it stays, where u Phi(-u) < 3e-10.
//
// Error: 5.2e-8 of q; 1.3e-8 of the polynomial of degree 5 for 2^f, f in [-1/2, 1/2], of relative
// error 7.5e-8, for u Phi(-u) <= 0.17; the roundings of q (|q| <= 2.1 where the product is largest,
// seven steps of half a unit of 2^-23 at most, times 0.17 ln 2) and of 2^f: at most 6e-8 together;
// and half a unit of the result, 2^-24 |x|. In all below 1.5e-7 + 2^-24 |x|.
template <class D>
HWY_INLINE hn::Vec<D> gelu_vector(D d, hn::Vec<D> x) {
  const auto c = [d](float value) { return hn::Set(d, value); };
  const auto u = hn::Abs(x);
  const auto near = hn::Min(u, c(6.5F));
  auto q = hn::MulAdd(near, c(3.309279418317601e-05F), c(-0.000769219477660954F));
  q = hn::MulAdd(near, q, c(0.008080716244876385F));
  q = hn::MulAdd(near, q, c(-0.05341210216283798F));
  q = hn::MulAdd(near, q, c(-0.4587709605693817F));
  q = hn::MulAdd(near, q, c(-1.1512017250061035F));
  q = hn::MulAdd(near, q, c(-0.999993085861206F));
  // A sum with 1.5 * 2^23 is rounded to an integer, which stands in its lowest bits.
  const auto magic = c(12582912.0F);
  const auto shifted = hn::Add(q, magic);
  const auto f = hn::Sub(q, hn::Sub(shifted, magic));
  auto power = hn::MulAdd(f, c(0.001327647129073739F), c(0.009675540961325169F));
  power = hn::MulAdd(f, power, c(0.05550713092088699F));
  power = hn::MulAdd(f, power, c(0.24022120237350464F));
  power = hn::MulAdd(f, power, c(0.6931469440460205F));
  power = hn::MulAdd(f, power, c(1.0000001192092896F));
  const hn::RebindToUnsigned<D> bits;
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(bits, shifted));
  const auto phi = hn::BitCast(d, hn::Add(hn::BitCast(bits, power), exponent));
  return hn::NegMulAdd(near, phi, hn::Mul(c(0.5F), hn::Add(x, u)));
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // REPRISE_GELU_INL
