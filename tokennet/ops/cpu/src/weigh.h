// Weighted sums of rows: sums_h += sum over edges of weight_eh row_eh, in registers.
#pragma once

#include "tables.h"

namespace tokennet {

// Adds to sums [H, C], or sets them if `fresh`; weights are [count, padded].
using Weigh = void (*)(const float* weights, const Rows& rows, int count, int channels, int heads,
                       int padded, float* sums, bool fresh);

constexpr int SUMS = 8;  // vectors in registers at a time

// GROUP vectors of a row, from the first of a head on; each head has VECTORS of them.
template <int L, int VECTORS, int GROUP>
TOKENNET_INLINE void weigh_group(const float* weights, const Rows& rows, int64_t at, int count,
                                 int padded, float* sums, bool fresh) {
  Float<L> sum[GROUP];
  for (int g = 0; g < GROUP; ++g) sum[g] = fresh ? Float<L>{} : load<L>(sums + g * L);
  for (int e = 0; e < count; ++e) {
    const float* row = rows.at(e) + at;
    const float* weight = weights + e * padded;
    for (int g = 0; g < GROUP; ++g) sum[g] += splat<L>(weight[g / VECTORS]) * load<L>(row + g * L);
  }
  for (int g = 0; g < GROUP; ++g) store<L>(sums + g * L, sum[g]);
}

// The vectors from `at` on, the most at a time that fit.
template <int L, int VECTORS, int GROUP>
TOKENNET_INLINE void weigh_rest(const float* weights, const Rows& rows, int vectors, int count,
                                int padded, float* sums, bool fresh) {
  int x = 0;
  for (; x + GROUP <= vectors; x += GROUP)
    weigh_group<L, VECTORS, GROUP>(weights + x / VECTORS, rows, x * L, count, padded, sums + x * L,
                                   fresh);
  if constexpr (GROUP > VECTORS && GROUP > 1) {
    Rows rest{rows.data + x * L, rows.stride, rows.head_stride, rows.index};
    if (x < vectors)
      weigh_rest<L, VECTORS, GROUP / 2>(weights + x / VECTORS, rest, vectors - x, count, padded,
                                        sums + x * L, fresh);
  }
}

template <int L, int VECTORS>
void weigh(const float* weights, const Rows& rows, int count, int channels, int heads, int padded,
           float* sums, bool fresh) {
  if constexpr (VECTORS > 0) {
    weigh_rest<L, VECTORS, SUMS>(weights, rows, heads * VECTORS, count, padded, sums, fresh);
  } else {
    for (int h = 0; h < heads; ++h) {
      Rows own{rows.data + h * rows.head_stride, rows.stride, 0, rows.index};
      float* to = sums + int64_t{h} * channels;
      int x = 0;
      for (; x + SUMS * L <= channels; x += SUMS * L)
        weigh_group<L, SUMS, SUMS>(weights + h, own, x, count, padded, to + x, fresh);
      for (; x + 2 * L <= channels; x += 2 * L)
        weigh_group<L, SUMS, 2>(weights + h, own, x, count, padded, to + x, fresh);
      for (; x < channels; x += L)
        weigh_group<L, SUMS, 1>(weights + h, own, x, count, padded, to + x, fresh);
    }
  }
}

// The kernel for so many channels; heads that share a row have no stride of their own.
inline Weigh choose_weigh(int64_t channels, bool shared = false) {
  return with_lanes(lanes_of(channels), [&](auto lanes) -> Weigh {
    constexpr int L = lanes;
    int64_t vectors = shared ? 0 : channels / L;
    if (vectors == 1) return weigh<L, 1>;
    if constexpr (L == LANES) {
      if (vectors == 2) return weigh<L, 2>;
      if (vectors == 4) return weigh<L, 4>;
      if (vectors == 8) return weigh<L, 8>;
    }
    return weigh<L, 0>;
  });
}

}  // namespace tokennet
