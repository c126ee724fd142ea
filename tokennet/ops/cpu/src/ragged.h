// Full attention within samples of different lengths: what both passes are made of.
//
// Axes: n queries and m keys of a sample, D channels of a key, C of a value. All is products of
// small matrices in which one side lies along the lanes, W = vectors x LANES of them, and the other
// is read number by number: nothing is summed across lanes, no head dimension wastes any, and of a
// sample's n x m scores only a few rows exist at a time.
#pragma once

#include <array>

#include "ragged_pack.h"
#include "tables.h"
#include "threads.h"

namespace tokennet::ragged {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int ROWS = 8;  // of two vectors each, in 32 registers
#else
constexpr int ROWS = 4;  // in 16 registers
#endif

// Pointers to the first number of a sample's head; rows lie `stride` apart.
struct Matrix {
  const float* data;
  int64_t stride;

  TOKENNET_INLINE Matrix at(int64_t row, int64_t column) const {
    return {data + row * stride + column, stride};
  }
  TOKENNET_INLINE const float* row(int64_t r) const { return data + r * stride; }
};

// Rows that will be needed soon, fetched a few at a time between products: those of the next
// sample, and those that results go to. Forward, 256 samples of 10 to 100 tokens took 1.35 times
// longer without; fetched all at once they gain nothing.
struct Ahead {
  const float* row = nullptr;
  int64_t stride = 0, count = 0, channels = 0;

  TOKENNET_INLINE void fetch() {
    for (int i = 0; i < 4 && count > 0; ++i, --count, row += stride)
      for (int64_t c = 0; c < channels; c += 16) __builtin_prefetch(row + c, 0, 2);
  }
};

struct Ragged {
  int64_t samples, heads, channels, value_channels;
  const int64_t* ptr;  // of the queries
  const int64_t* source_ptr;
  Matrix q, k, v;
  float scale;
  bool causal;

  // The rows of the sample after this one, of a matrix with such a pointer; a few hundred at most.
  Ahead next(const Matrix& rows, const int64_t* start, int64_t sample, int64_t column,
             int64_t width) const {
    if (sample + 1 >= samples) return {};
    int64_t count = std::min<int64_t>(start[sample + 2] - start[sample + 1], 256);
    return {rows.at(start[sample + 1], column).data, rows.stride, count, width};
  }
};

inline int64_t rounded(int64_t count, int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// The numbers of the lanes, from `first` on.
template <int L>
TOKENNET_INLINE Int<L> lanes_from(int64_t first) {
  Int<L> lane;
  for (int i = 0; i < L; ++i) lane[i] = static_cast<int32_t>(first) + i;
  return lane;
}

// out[r, lane] = sum over d of lanes[d, lane] rows[r, d]: lanes [depth, W], rows packed by ROWS.
template <int V, size_t N>
void products(const float* lanes, const float* rows, int64_t depth, int64_t count, float* out,
              std::array<Ahead, N>& ahead) {
  constexpr int W = V * LANES;
  for (int64_t first = 0; first < count; first += ROWS, out += ROWS * W) {
    for (Ahead& each : ahead) each.fetch();
    Float<LANES> sum[ROWS][V] = {};
    const float* lane = lanes;
    for (int64_t d = 0; d < depth; ++d, lane += W, rows += ROWS) {
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 2
        for (int x = 0; x < V; ++x) sum[r][x] += rows[r] * load<LANES>(lane + x * LANES);
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 2
      for (int x = 0; x < V; ++x) store<LANES>(out + r * W + x * LANES, sum[r][x]);
  }
}

// out[c, lane] += sum over r of weights[r, lane] rows[r, c], for N channels from c = first on;
// `count` is a multiple of ROWS.
template <int V, int N>
TOKENNET_INLINE void weigh_some(const float* weights, const float* rows, int64_t channels,
                                int64_t count, int64_t first, float* out) {
  constexpr int W = V * LANES;
  Float<LANES> sum[N][V];
  for (int c = 0; c < N; ++c)
    for (int x = 0; x < V; ++x) sum[c][x] = load<LANES>(out + (first + c) * W + x * LANES);
  rows += first * ROWS;
  for (int64_t group = 0; group < count; group += ROWS, rows += channels * ROWS) {
    for (int r = 0; r < ROWS; ++r, weights += W) {
#pragma GCC unroll 8
      for (int c = 0; c < N; ++c)
#pragma GCC unroll 2
        for (int x = 0; x < V; ++x)
          sum[c][x] += rows[c * ROWS + r] * load<LANES>(weights + x * LANES);
    }
  }
  for (int c = 0; c < N; ++c)
    for (int x = 0; x < V; ++x) store<LANES>(out + (first + c) * W + x * LANES, sum[c][x]);
}

template <int V, int N = ROWS>
void weigh(const float* weights, const float* rows, int64_t channels, int64_t count, float* out,
           int64_t first = 0) {
  for (; first + N <= channels; first += N)
    weigh_some<V, N>(weights, rows, channels, count, first, out);
  if constexpr (N > 1) {
    if (first < channels) weigh<V, N / 2>(weights, rows, channels, count, out, first);
  }
}

}  // namespace tokennet::ragged
