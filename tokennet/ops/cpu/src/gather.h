// Sums and maxima of the rows of a table that each row of a compressed form names.
//
// Channels are cut into vectors of L, the last of them ending with the last channel, so that it may
// overlap the one before it: no channel is left for a scalar loop and nothing is masked. Up to a
// fixed number of vectors is kept in registers while the entries of a row go by.
#pragma once

#include <type_traits>

#include "simd.h"
#include "threads.h"

namespace tokennet::gather {

// A compressed form; `index` and `place` may be null: the entry itself.
struct Form {
  int64_t rows;
  const int64_t* ptr;
  const int32_t* index;
  const int32_t* place;

  TOKENNET_INLINE int64_t source(int64_t e) const { return index ? index[e] : e; }
  TOKENNET_INLINE int64_t edge(int64_t e) const { return place ? place[e] : e; }
  int64_t count() const { return rows ? ptr[rows] : 0; }
};

// Entries ahead whose rows are fetched: 1.1 to 1.4 times faster than 1 at 20,000 and 100,000 rows
// of 64 and 128 channels with 16 or 20 entries each; 8 to 32 are alike.
constexpr int64_t AHEAD = 16;

template <int FLOATS>
TOKENNET_INLINE void prefetch(const float* from) {
#pragma GCC unroll 16
  for (int i = 0; i < FLOATS; i += 16) __builtin_prefetch(from + i);
}

// run(integral_constant<n>) for a number n from 1 to MOST.
template <int MOST, class Run>
TOKENNET_INLINE void with_constant(int n, const Run& run) {
  if constexpr (MOST > 1) {
    if (n < MOST) return with_constant<MOST - 1>(n, run);
  }
  run(std::integral_constant<int, MOST>{});
}

// run(integral_constant<L>) for the largest power of two L that is at most `channels` and LANES.
template <int L = LANES, class Run>
TOKENNET_INLINE void with_width(int64_t channels, const Run& run) {
  if constexpr (L > 1) {
    if (channels < L) return with_width<L / 2>(channels, run);
  }
  run(std::integral_constant<int, L>{});
}

// run(integral_constant<n>, first, last) for groups of n <= MOST vectors that cover the channels:
// they begin at first, first + L, ..., and the last one at `last`.
template <int L, int MOST, class Run>
TOKENNET_INLINE void over_channels(int64_t channels, const Run& run) {
  constexpr int FEW = L == LANES ? MOST : 2;  // narrow vectors: fewer than 2 L channels
  int64_t vectors = (channels + L - 1) / L;
  for (int64_t from = 0; from < vectors; from += FEW) {
    int n = static_cast<int>(std::min<int64_t>(FEW, vectors - from));
    int64_t last = std::min((from + n - 1) * L, channels - L);
    with_constant<FEW>(n, [&](auto constant) { run(constant, from * L, last); });
  }
}

// -- sums, with one weight for all channels of an entry, or none ---------------------------------

struct Sum {
  Form form;
  const float* x;
  int64_t stride;  // of the rows of x
  const float* weight;
  int64_t heads;  // weights of an entry
  int64_t channels;  // of a head
  float* out;
};

template <int L, int N, bool WEIGHTED>
void sum_rows(const Sum& a, int64_t from, int64_t to, int64_t first, int64_t last) {
  int64_t width = a.heads * a.channels, end = a.form.count() - 1;
  for (int64_t s = from; s < to; ++s) {
    Float<L> total[N] = {};
    for (int64_t e = a.form.ptr[s]; e < a.form.ptr[s + 1]; ++e) {
      int64_t ahead = std::min(e + AHEAD, end);
      prefetch<N * L>(a.x + a.form.source(ahead) * a.stride + first);
      if (WEIGHTED && a.form.place) __builtin_prefetch(a.weight + a.form.edge(ahead));
      const float* x = a.x + a.form.source(e) * a.stride;
      float weight = WEIGHTED ? a.weight[a.form.edge(e)] : 1;
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i) {
        Float<L> value = load<L>(x + (i < N - 1 ? first + i * L : last));
        total[i] = WEIGHTED ? total[i] + weight * value : total[i] + value;
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
      store<L>(a.out + s * width + (i < N - 1 ? first + i * L : last), total[i]);
  }
}

// -- sums, with a weight for each head -----------------------------------------------------------

constexpr int MOST_HEADS = 8;  // vectors in a group

template <int L, int N>
void sum_heads(const Sum& a, int64_t from, int64_t to, const int64_t* head, const int64_t* at) {
  int64_t width = a.heads * a.channels, end = a.form.count() - 1;
  for (int64_t s = from; s < to; ++s) {
    Float<L> total[N] = {};
    for (int64_t e = a.form.ptr[s]; e < a.form.ptr[s + 1]; ++e) {
      int64_t ahead = std::min(e + AHEAD, end);
      prefetch<N * L>(a.x + a.form.source(ahead) * a.stride + at[0]);
      if (a.form.place) __builtin_prefetch(a.weight + a.form.edge(ahead) * a.heads);
      const float* x = a.x + a.form.source(e) * a.stride;
      const float* weight = a.weight + a.form.edge(e) * a.heads;
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i) total[i] += weight[head[i]] * load<L>(x + at[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) store<L>(a.out + s * width + at[i], total[i]);
  }
}

// Vectors never cross heads: vector v of a head begins at its channel v L, or ends with it.
template <int L>
void sum_groups(const Sum& a, int64_t from, int64_t to) {
  int64_t each = (a.channels + L - 1) / L, vectors = each * a.heads;
  for (int64_t start = 0; start < vectors; start += MOST_HEADS) {
    int n = static_cast<int>(std::min<int64_t>(MOST_HEADS, vectors - start));
    int64_t head[MOST_HEADS], at[MOST_HEADS];
    for (int i = 0; i < n; ++i) {
      head[i] = (start + i) / each;
      int64_t inside = std::min((start + i) % each * L, a.channels - L);
      at[i] = head[i] * a.channels + inside;
    }
    with_constant<MOST_HEADS>(
        n, [&](auto constant) { sum_heads<L, constant>(a, from, to, head, at); });
  }
}

// -- maxima --------------------------------------------------------------------------------------

constexpr int EXTREMES = LANES == 16 ? 8 : 4;  // vectors in a group, two registers each

struct Maximum {
  Form form;
  const float* x;
  int64_t stride;
  int64_t channels;
  float* out;
  float* count;
};

// NaN wins, with a count of 0, since it is equal to nothing.
template <int L, int N>
void max_rows(const Maximum& a, int64_t from, int64_t to, int64_t first, int64_t last) {
  int64_t end = a.form.count() - 1;
  for (int64_t s = from; s < to; ++s) {
    Float<L> most[N], count[N];
    bool empty = a.form.ptr[s] == a.form.ptr[s + 1];
    for (int i = 0; i < N; ++i) {
      most[i] = splat<L>(empty ? 0 : -__builtin_inff());
      count[i] = Float<L>{};
    }
    for (int64_t e = a.form.ptr[s]; e < a.form.ptr[s + 1]; ++e) {
      prefetch<N * L>(a.x + a.form.source(std::min(e + AHEAD, end)) * a.stride + first);
      const float* x = a.x + a.form.source(e) * a.stride;
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i) {
        Float<L> value = load<L>(x + (i < N - 1 ? first + i * L : last));
        Float<L> one = splat<L>(1), more = count[i] + one;
        count[i] = value > most[i] ? one : value == most[i] ? more : count[i];
        most[i] = value <= most[i] ? most[i] : most[i] == most[i] ? value : most[i];
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      int64_t at = s * a.channels + (i < N - 1 ? first + i * L : last);
      store<L>(a.out + at, most[i]);
      store<L>(a.count + at, most[i] == most[i] ? count[i] : Float<L>{});
    }
  }
}

struct MaximumGradient {
  Form form;  // the transpose: its rows are those of x, its entries name results
  const float* share;  // the gradient of a result over its count
  const float* out;
  const float* x;
  int64_t channels;
  float* dx;
};

template <int L, int N>
void max_gradient_rows(const MaximumGradient& a, int64_t from, int64_t to, int64_t first,
                       int64_t last) {
  int64_t end = a.form.count() - 1;
  for (int64_t t = from; t < to; ++t) {
    Float<L> own[N], total[N] = {};
    for (int i = 0; i < N; ++i)
      own[i] = load<L>(a.x + t * a.channels + (i < N - 1 ? first + i * L : last));
    for (int64_t e = a.form.ptr[t]; e < a.form.ptr[t + 1]; ++e) {
      int64_t ahead = a.form.source(std::min(e + AHEAD, end)) * a.channels + first;
      prefetch<N * L>(a.out + ahead);
      prefetch<N * L>(a.share + ahead);
      int64_t row = a.form.source(e) * a.channels;
#pragma GCC unroll 8
      for (int i = 0; i < N; ++i) {
        int64_t at = row + (i < N - 1 ? first + i * L : last);
        total[i] += own[i] == load<L>(a.out + at) ? load<L>(a.share + at) : Float<L>{};
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
      store<L>(a.dx + t * a.channels + (i < N - 1 ? first + i * L : last), total[i]);
  }
}

}  // namespace tokennet::gather
