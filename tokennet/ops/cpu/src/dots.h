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
constexpr int distance(int lanes, int level) {
  if (level == 0) return lanes > 2 ? 2 : 1;
  return level == 1 && lanes > 4 ? 4 : level == 2 && lanes > 8 ? 8 : 1;
}

constexpr int levels(int lanes) { return lanes == 1 ? 0 : 1 + levels(lanes / 2); }

// Sums over SUM lanes of the inputs whose number differs from i in the bits of the levels below.
template <int L, int SUM, int LEVEL, class Input>
TOKENNET_INLINE Float<L> summed(const Input& input, int i) {
  if constexpr (LEVEL == 0) {
    return input(i);
  } else {
    constexpr int d = distance(SUM, LEVEL - 1);
    Float<L> a = summed<L, SUM, LEVEL - 1>(input, i);
    return paired<L, d>(a, summed<L, SUM, LEVEL - 1>(input, i | d));
  }
}

// Lane i * PARTS + p gets what stands in lane p * L / PARTS + i.
template <int L, int PARTS, int... I>
TOKENNET_INLINE Float<L> woven(Float<L> x, std::integer_sequence<int, I...>) {
  return shuffle<L>(x, x, std::integer_sequence<int, (I % PARTS * (L / PARTS) + I / PARTS)...>{});
}

// A head has VECTORS vectors (0: known only when it runs, as is which heads exist), or a vector has
// PARTS heads; HEADS of an edge stand in one vector of scores.
template <int L, int PARTS, int VECTORS, int HEADS, bool LEAKY>
void dots(const Own& own, const Rows& rows, int count, int channels, int heads, int padded,
          float* scores, bool add) {
  constexpr int GROUP = L / HEADS, INPUTS = HEADS / PARTS;  // edges of a vector; vectors of an edge
  constexpr int SIZE = INPUTS * VECTORS;
  constexpr bool KEPT = SIZE > 0 && SIZE <= 8 && !LEAKY;  // own's channels stay in registers
  const int vectors = VECTORS ? VECTORS : channels / L;
  const int64_t apart = VECTORS ? VECTORS * L : rows.head_stride;
  const int64_t size = VECTORS ? padded * VECTORS * L / PARTS : rows.head_stride * heads;
  Float<L> kept[KEPT ? SIZE : 1];
  if constexpr (KEPT) {
    for (int i = 0; i < SIZE; ++i) kept[i] = load<L>(own.values + i * L);
  }
  auto score = [&](const float* const* row, int first) TOKENNET_LAMBDA {
    auto input = [&](int i) TOKENNET_LAMBDA {
      int h = first / PARTS + i % INPUTS;
      if (VECTORS == 0) h = std::min(h, heads - 1);
      const float* other = row[i / INPUTS] + h * apart;
      int64_t at = int64_t{h} * vectors * L;
      auto part = [&](int v) TOKENNET_LAMBDA {
        if constexpr (KEPT) {
          if (first == 0) return kept[i % INPUTS * VECTORS + v] * load<L>(other + v * L);
        }
        return product<L, LEAKY>(own, at + v * L, other + v * L);
      };
      Float<L> sum = part(0);
      for (int v = 1; v < vectors; ++v) sum += part(v);
      return sum;
    };
    Float<L> sums = summed<L, L / PARTS, levels(L / PARTS)>(input, 0);
    if constexpr (PARTS > 1) sums = woven<L, PARTS>(sums, std::make_integer_sequence<int, L>{});
    return sums;
  };
  for (int e = 0; e < count; e += GROUP) {
    const float* row[GROUP];
    for (int g = 0; g < GROUP; ++g) {
      row[g] = rows.at(std::min(e + g, count - 1));
      if (HEADS < L && VECTORS) {
        rows.fetch(e + g, SIZE * L);
      } else {
        rows.fetch(e + g, size);
      }
    }
    float* to = scores + e * padded;
    if (HEADS < L || padded == L) {
      Float<L> x = score(row, 0);
      store<L>(to, add ? x + load<L>(to) : x);
    } else {
      for (int first = 0; first < padded; first += HEADS) {
        Float<L> x = score(row, first);
        store<L>(to + first, add ? x + load<L>(to + first) : x);
      }
    }
  }
}

template <int L, int PARTS, int VECTORS, bool LEAKY>
Dots dots_for_heads(int64_t padded) {
  if constexpr (L >= 2 && PARTS == 1) {
    if (padded == 1) return dots<L, PARTS, VECTORS, 1, LEAKY>;
  }
  if constexpr (L >= 4) {
    if (padded == 2) return dots<L, PARTS, VECTORS, 2, LEAKY>;
  }
  if constexpr (L >= 8) {
    if (padded == 4) return dots<L, PARTS, VECTORS, 4, LEAKY>;
  }
  if constexpr (L >= 16) {
    if (padded == 8) return dots<L, PARTS, VECTORS, 8, LEAKY>;
  }
  return dots<L, PARTS, VECTORS, L, LEAKY>;
}

// The kernel for so many channels and heads; heads that share a row have no stride of their own.
template <bool LEAKY>
Dots choose_dots(int64_t channels, int64_t heads, bool shared = false) {
  int64_t padded = padded_heads(heads);
  bool plain = heads == padded && !shared;
  if (LANES == 2 * channels && padded > 1 && plain)
    return dots_for_heads<LANES, 2, 1, LEAKY>(padded);
  return with_lanes(lanes_of(channels), [&](auto lanes) -> Dots {
    constexpr int L = lanes;
    int64_t vectors = plain ? channels / L : 0;
    if (vectors == 1) return dots_for_heads<L, 1, 1, LEAKY>(padded);
    if constexpr (L == LANES) {
      if (vectors == 2) return dots_for_heads<L, 1, 2, LEAKY>(padded);
      if (vectors == 4) return dots_for_heads<L, 1, 4, LEAKY>(padded);
    }
    return dots_for_heads<L, 1, 0, LEAKY>(padded);
  });
}

}  // namespace tokennet
