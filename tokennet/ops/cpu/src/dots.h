// Scores of the edges of a row: own_h . row_h for each of its edges and heads.
//
// L products become one vector of L scores by L - 1 sums of pairs. Pairs 64 bits apart come first,
// being the most: two instructions bring them together, three for other distances.
#pragma once

#include "tables.h"

namespace tokennet {

// What one side brings: channels [H, D], with the vector of "gatv2" [H, D] and its slope.
struct Own {
  const float* values;
  const float* vector;
  float slope;
};

// Writes (or adds) scores [count, padded]; up to L / padded edges behind the last get any value.
using Dots = void (*)(const Own& own, const Rows& rows, int count, int channels, int heads,
                      int padded, float* scores, bool add);

template <int L>
TOKENNET_INLINE Float<L> leaky(Float<L> x, float slope) {
  return x > 0.f ? x : x * slope;
}

template <int L, bool LEAKY>
TOKENNET_INLINE Float<L> product(const Own& own, int64_t at, const float* row) {
  Float<L> mine = load<L>(own.values + at), other = load<L>(row);
  if constexpr (LEAKY) {
    return load<L>(own.vector + at) * leaky<L>(mine + other, own.slope);
  } else {
    return mine * other;
  }
}

// The distance of the pairs that are summed at each level of the tree.
template <int L>
constexpr int distance(int level) {
  constexpr int first = L > 2 ? 2 : 1;
  return level == 0 ? first : level == 1 && L > 4 ? 4 : level == 2 && L > 8 ? 8 : 1;
}

constexpr int levels(int lanes) { return lanes == 1 ? 0 : 1 + levels(lanes / 2); }

// Sums over lanes of the inputs whose number differs from i in the bits of the levels below.
template <int L, int LEVEL, class Input>
TOKENNET_INLINE Float<L> summed(const Input& input, int i) {
  if constexpr (LEVEL == 0) {
    return input(i);
  } else {
    constexpr int d = distance<L>(LEVEL - 1);
    Float<L> a = summed<L, LEVEL - 1>(input, i);
    return paired<L, d>(a, summed<L, LEVEL - 1>(input, i | d));
  }
}

// VECTORS make up the channels of a head (0: known only when it runs, as is which heads exist);
// HEADS of an edge stand in one vector of scores.
template <int L, int VECTORS, int HEADS, bool LEAKY>
void dots(const Own& own, const Rows& rows, int count, int channels, int heads, int padded,
          float* scores, bool add) {
  constexpr int GROUP = L / HEADS;
  const int vectors = VECTORS ? VECTORS : channels / L;
  const int64_t apart = VECTORS ? VECTORS * L : rows.head_stride;
  for (int e = 0; e < count; e += GROUP) {
    const float* row[GROUP];
    for (int g = 0; g < GROUP; ++g) row[g] = rows.at(std::min(e + g, count - 1));
    for (int first = 0; first < padded; first += HEADS) {
      auto input = [&](int i) TOKENNET_LAMBDA {
        int h = first + i % HEADS;
        if (VECTORS == 0) h = std::min(h, heads - 1);
        const float* other = row[i / HEADS] + h * apart;
        int64_t at = int64_t{h} * vectors * L;
        Float<L> sum = product<L, LEAKY>(own, at, other);
        for (int v = 1; v < vectors; ++v) sum += product<L, LEAKY>(own, at + v * L, other + v * L);
        return sum;
      };
      Float<L> score = summed<L, levels(L)>(input, 0);
      float* to = scores + e * padded + first;
      store<L>(to, add ? score + load<L>(to) : score);
    }
  }
}

template <int L, int VECTORS, bool LEAKY>
Dots dots_for_heads(int64_t padded) {
  if constexpr (L >= 2) {
    if (padded == 1) return dots<L, VECTORS, 1, LEAKY>;
    if constexpr (L >= 4) {
      if (padded == 2) return dots<L, VECTORS, 2, LEAKY>;
    }
    if constexpr (L >= 8) {
      if (padded == 4) return dots<L, VECTORS, 4, LEAKY>;
    }
    if constexpr (L >= 16) {
      if (padded == 8) return dots<L, VECTORS, 8, LEAKY>;
    }
  }
  return dots<L, VECTORS, L, LEAKY>;
}

// The kernel for so many channels and heads; heads that share a row have no stride of their own.
template <bool LEAKY>
Dots choose_dots(int64_t channels, int64_t heads, bool shared = false) {
  int64_t padded = padded_heads(heads);
  return with_lanes(lanes_of(channels), [&](auto lanes) -> Dots {
    constexpr int L = lanes;
    int64_t vectors = heads == padded && !shared ? channels / L : 0;
    if (vectors == 1) return dots_for_heads<L, 1, LEAKY>(padded);
    if constexpr (L == LANES) {
      if (vectors == 2) return dots_for_heads<L, 2, LEAKY>(padded);
      if (vectors == 4) return dots_for_heads<L, 4, LEAKY>(padded);
    }
    return dots_for_heads<L, 0, LEAKY>(padded);
  });
}

}  // namespace tokennet
