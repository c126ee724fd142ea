// Weighted sums of rows: sums_h += sum over edges of weight_eh row_eh, in registers.
#pragma once

#include "tables.h"

namespace tokennet {

// Adds to sums [H, C], or sets them if `fresh`; weights are [count, padded].
using Weigh = void (*)(const float* weights, const Rows& rows, int count, int channels, int heads,
                       int padded, float* sums, bool fresh);

constexpr int SUMS = 8;  // vectors in registers at a time

// A vector of weights: HEADS of them, each as often as a head has channels in the vector.
template <int L, int HEADS, int FIRST, int... I>
TOKENNET_INLINE Float<L> spread(Float<L> weights, std::integer_sequence<int, I...>) {
  return shuffle<L>(weights, weights,
                    std::integer_sequence<int, (FIRST + I * HEADS / L)...>{});
}

// The weights of vector G of a group, from those of its first head on.
template <int L, int HEADS, int VECTORS, int G>
TOKENNET_INLINE Float<L> weights_of(const float* weight) {
  if constexpr (HEADS == 1) {
    return splat<L>(weight[G / VECTORS]);
  } else {
    return spread<L, HEADS, G * HEADS>(load<L>(weight), std::make_integer_sequence<int, L>{});
  }
}

template <int L, int HEADS, int VECTORS, int... G>
TOKENNET_INLINE void add_row(Float<L>* sum, const float* weight, const float* row,
                             std::integer_sequence<int, G...>) {
  ((sum[G] += weights_of<L, HEADS, VECTORS, G>(weight) * load<L>(row + G * L)), ...);
}

// GROUP vectors of a row, from the first of a head on. A head has VECTORS of them, or a vector has
// HEADS heads.
template <int L, int HEADS, int VECTORS, int GROUP>
TOKENNET_INLINE void weigh_group(const float* weights, const Rows& rows, int64_t at, int count,
                                 int padded, float* sums, bool fresh) {
  Float<L> sum[GROUP];
  for (int g = 0; g < GROUP; ++g) sum[g] = fresh ? Float<L>{} : load<L>(sums + g * L);
  const Rows own = {rows.data + at, rows.stride, 0, rows.index, rows.known};
  for (int e = 0; e < count; ++e) {
    own.fetch(e, GROUP * L);
    add_row<L, HEADS, VECTORS>(sum, weights + e * padded, own.at(e),
                               std::make_integer_sequence<int, GROUP>{});
  }
  for (int g = 0; g < GROUP; ++g) store<L>(sums + g * L, sum[g]);
}

// `vectors` of a row, the most at a time that fit.
template <int L, int HEADS, int VECTORS, int GROUP>
TOKENNET_INLINE void weigh_rest(const float* weights, const Rows& rows, int from, int vectors,
                                int count, int padded, float* sums, bool fresh) {
  int x = from;
  for (; x + GROUP <= vectors; x += GROUP)
    weigh_group<L, HEADS, VECTORS, GROUP>(weights + x * HEADS / VECTORS, rows, x * L, count, padded,
                                          sums + x * L, fresh);
  if constexpr (GROUP > VECTORS) {
    if (x < vectors)
      weigh_rest<L, HEADS, VECTORS, GROUP / 2>(weights, rows, x, vectors, count, padded, sums,
                                               fresh);
  }
}

template <int L, int HEADS, int VECTORS>
void weigh(const float* weights, const Rows& rows, int count, int channels, int heads, int padded,
           float* sums, bool fresh) {
  constexpr int MOST = std::min(SUMS, L / HEADS);  // a vector of weights is enough for a group
  if constexpr (VECTORS > 0) {
    weigh_rest<L, HEADS, VECTORS, HEADS == 1 ? SUMS : MOST>(
        weights, rows, 0, heads * VECTORS / HEADS, count, padded, sums, fresh);
  } else {
    for (int h = 0; h < heads; ++h) {
      Rows own{rows.data + h * rows.head_stride, rows.stride, 0, rows.index, rows.known};
      float* to = sums + int64_t{h} * channels;
      int x = 0;
      for (; x + SUMS * L <= channels; x += SUMS * L)
        weigh_group<L, 1, SUMS, SUMS>(weights + h, own, x, count, padded, to + x, fresh);
      for (; x + 2 * L <= channels; x += 2 * L)
        weigh_group<L, 1, SUMS, 2>(weights + h, own, x, count, padded, to + x, fresh);
      for (; x < channels; x += L)
        weigh_group<L, 1, SUMS, 1>(weights + h, own, x, count, padded, to + x, fresh);
    }
  }
}

// The kernel for so many channels; heads that share a row have no stride of their own.
inline Weigh choose_weigh(int64_t channels, int64_t heads, bool shared = false) {
  if (heads * channels % LANES == 0 && LANES == 2 * channels && !shared)
    return weigh<LANES, 2, 1>;
  return with_lanes(lanes_of(channels), [&](auto lanes) -> Weigh {
    constexpr int L = lanes;
    int64_t vectors = shared ? 0 : channels / L;
    if (vectors == 1) return weigh<L, 1, 1>;
    if constexpr (L == LANES) {
      if (vectors == 2) return weigh<L, 1, 2>;
      if (vectors == 4) return weigh<L, 1, 4>;
      if (vectors == 8) return weigh<L, 1, 8>;
    }
    return weigh<L, 1, 0>;
  });
}

}  // namespace tokennet
