// Vectors of L floats by the compilers' vector extensions, the same for every instruction set.
//
// `Float<L>` is a vector (for L = 1 a float), so that a kernel is written once with + and *.
// LANES is the widest that the instruction set has; a narrower L fits channels that it divides.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#define TOKENNET_INLINE inline __attribute__((always_inline))
#define TOKENNET_LAMBDA __attribute__((always_inline))

namespace tokennet {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

template <int L>
struct Vector {};
template <>
struct Vector<1> {
  using Float = float;
  using Int = int32_t;
};
#define TOKENNET_VECTOR(L)                                   \
  template <>                                                \
  struct Vector<L> {                                         \
    typedef float Float __attribute__((vector_size(L * 4))); \
    typedef int32_t Int __attribute__((vector_size(L * 4))); \
  };
TOKENNET_VECTOR(2)
TOKENNET_VECTOR(4)
TOKENNET_VECTOR(8)
TOKENNET_VECTOR(16)
#undef TOKENNET_VECTOR

template <int L>
using Float = typename Vector<L>::Float;
template <int L>
using Int = typename Vector<L>::Int;

// L floats from anywhere: no alignment is asked for.
template <int L>
TOKENNET_INLINE Float<L> load(const float* from) {
  Float<L> x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

template <int L>
TOKENNET_INLINE void store(float* to, Float<L> x) {
  std::memcpy(to, &x, sizeof x);
}

// The first `count` of L floats, `rest` behind them; nothing behind is read.
template <int L>
TOKENNET_INLINE Float<L> load_part(const float* from, int count, float rest = 0) {
  float part[L];
  for (int i = 0; i < L; ++i) part[i] = i < count ? from[i] : rest;
  return load<L>(part);
}

template <int L>
TOKENNET_INLINE void store_part(float* to, Float<L> x, int count) {
  float part[L];
  store<L>(part, x);
  for (int i = 0; i < count; ++i) to[i] = part[i];
}

// The same number in every lane.
template <int L>
TOKENNET_INLINE Float<L> splat(float x) {
  return x - Float<L>{};  // x - 0 keeps the sign of zero
}

template <int L>
TOKENNET_INLINE Int<L> bits_of(Float<L> x) {
  Int<L> y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}

template <int L>
TOKENNET_INLINE Float<L> float_of(Int<L> x) {
  Float<L> y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}

template <int L>
TOKENNET_INLINE Float<L> larger(Float<L> a, Float<L> b) {
  return a > b ? a : b;
}

// Lanes of a (0 to L - 1) and of b (L to 2 L - 1), in the order I.
template <int L, int... I>
TOKENNET_INLINE Float<L> shuffle(Float<L> a, Float<L> b, std::integer_sequence<int, I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, I...);
#else
  return __builtin_shuffle(a, b, Int<L>{I...});
#endif
}

template <int L, int DISTANCE, int... I>
TOKENNET_INLINE Float<L> swapped(Float<L> a, std::integer_sequence<int, I...>) {
  return shuffle<L>(a, a, std::integer_sequence<int, (I ^ DISTANCE)...>{});
}

// Lane l gets what stands in lane l ^ DISTANCE.
template <int L, int DISTANCE>
TOKENNET_INLINE Float<L> swapped(Float<L> a) {
  return swapped<L, DISTANCE>(a, std::make_integer_sequence<int, L>{});
}

template <int L, int DISTANCE, int... I>
TOKENNET_INLINE Float<L> paired(Float<L> a, Float<L> b, std::integer_sequence<int, I...>) {
  Float<L> own = shuffle<L>(a, b, std::integer_sequence<int, (I & DISTANCE ? L + I : I)...>{});
  Float<L> other = shuffle<L>(
      a, b, std::integer_sequence<int, (I & DISTANCE ? L + (I ^ DISTANCE) : I ^ DISTANCE)...>{});
  return own + other;
}

// Sums of lanes l and l ^ DISTANCE: of a where l has that bit clear, of b where it has it set.
template <int L, int DISTANCE>
TOKENNET_INLINE Float<L> paired(Float<L> a, Float<L> b) {
  return paired<L, DISTANCE>(a, b, std::make_integer_sequence<int, L>{});
}

template <int L>
TOKENNET_INLINE float total(Float<L> x) {
  if constexpr (L == 1) {
    return x;
  } else {
    float lanes[L], sum = 0;
    store<L>(lanes, x);
    for (int d = L / 2; d > 0; d /= 2)
      for (int i = 0; i < d; ++i) lanes[i] += lanes[i + d];
    return sum + lanes[0];
  }
}

constexpr float LOG2_E = 1.44269504088896341f;
constexpr float LN_2 = 0.693147180559945309f;

// 2^x within 2e-7 of itself for x <= 127; exactly 0 below 2^-125, so also at -inf; NaN stays.
template <int L>
TOKENNET_INLINE Float<L> exp2(Float<L> x) {
  const float round = 12582912.f;  // 1.5 * 2^23: the low bits of a sum are the integer
  Float<L> shifted = x + round;
  Float<L> f = x - (shifted - round);
  Float<L> y = 1.5403530e-4f * f + 1.3333558e-3f;
  y = y * f + 9.6181291e-3f;
  y = y * f + 5.5504109e-2f;
  y = y * f + 2.4022651e-1f;
  y = y * f + 6.9314718e-1f;
  y = y * f + 1.f;
  Float<L> scaled = float_of<L>(bits_of<L>(y) + (bits_of<L>(shifted) << 23));
  return x < -125.f ? Float<L>{} : scaled;
}

// log2 x within 1e-7 of 1 or of itself, for normal x > 0 (after Cephes' logf).
template <int L>
TOKENNET_INLINE Float<L> log2(Float<L> x) {
  Int<L> bits = bits_of<L>(x) - 0x3f3504f3;  // sqrt(1/2): the fraction lies in [sqrt(1/2), sqrt 2)
  Int<L> exponent = bits >> 23;
  Float<L> f = float_of<L>(bits - (exponent << 23) + 0x3f3504f3) - 1.f;
  Float<L> y = 7.0376836292e-2f * f - 1.1514610310e-1f;
  y = y * f + 1.1676998740e-1f;
  y = y * f - 1.2420140846e-1f;
  y = y * f + 1.4249322787e-1f;
  y = y * f - 1.6668057665e-1f;
  y = y * f + 2.0000714765e-1f;
  y = y * f - 2.4999993993e-1f;
  y = y * f + 3.3333331174e-1f;
  Float<L> square = f * f;
  y = f + (y * f * square - 0.5f * square);
  Float<L> whole;
  if constexpr (L == 1) {
    whole = static_cast<float>(exponent);
  } else {
    whole = __builtin_convertvector(exponent, Float<L>);
  }
  return y * LOG2_E + whole;
}

}  // namespace tokennet
