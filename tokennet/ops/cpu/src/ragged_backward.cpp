// Full attention within samples, backward: keys along the lanes, queries in chunks.
//
// Weights p_ij = 2^(s_ij - log_sum_i) are made anew. With slopes t_ij = p_ij (g_i.v_j - g_i.out_i):
// dv_j = sum_i p_ij g_i, dk_j = scale sum_i t_ij q_i and dq_i = scale sum_j t_ij k_j. The first two
// are sums over rows, with keys along the lanes; for dq channels are along the lanes.
#include "export.h"
#include "ragged.h"

namespace tokennet::ragged {

constexpr int64_t QUERIES = 64;  // queries whose weights and slopes exist at a time: 16 KB of L1

struct Backward {
  Matrix grad, out;
  const float* log_sum;  // [T, H]
  float *dq, *dk, *dv;   // without gaps
};

// What is kept of the queries of a sample's head, up to a multiple of ROWS.
struct Queries {
  int64_t count;
  float* q;        // packed by ROWS, times scale log2 e
  float* grad;     // packed by ROWS
  float* log_sum;  // [n], of powers of 2; infinite behind the last
  float* delta;    // [n]
  float* dq;       // [n, D rounded up to a multiple of LANES]
};

// What is made for some keys at a time.
struct KeyTile {
  float *k, *v;             // [D, W] and [C, W]
  float* k_rows;            // [W, D rounded up]
  float *dk, *dv;           // [D, W] and [C, W]
  float *weights, *slopes;  // [QUERIES, W]
  std::array<Ahead, 8> ahead;
};

struct Sizes {
  int64_t depth, channels, width;  // width: D rounded up
};

// dq[i] += sum over the keys j of slopes[i, j] k[j], for ROWS rows and N vectors of channels.
template <int W, int N>
TOKENNET_INLINE void add_keys(const float* slopes, const float* k, int64_t keys, int64_t width,
                              float* dq) {
  Float<LANES> sum[ROWS][N];
  for (int r = 0; r < ROWS; ++r)
    for (int x = 0; x < N; ++x) sum[r][x] = load<LANES>(dq + r * width + x * LANES);
  for (int64_t j = 0; j < keys; ++j, k += width) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 2
      for (int x = 0; x < N; ++x) sum[r][x] += slopes[r * W + j] * load<LANES>(k + x * LANES);
  }
  for (int r = 0; r < ROWS; ++r)
    for (int x = 0; x < N; ++x) store<LANES>(dq + r * width + x * LANES, sum[r][x]);
}

template <int W>
void add_to_queries(const float* slopes, const float* k, int64_t keys, int64_t size, int64_t width,
                    float* dq) {
  for (int64_t i = 0; i < size; i += ROWS, slopes += ROWS * W, dq += ROWS * width) {
    int64_t c = 0;
    for (; c + 2 * LANES <= width; c += 2 * LANES)
      add_keys<W, 2>(slopes, k + c, keys, width, dq + c);
    if (c < width) add_keys<W, 1>(slopes, k + c, keys, width, dq + c);
  }
}

// Scores and g.v of queries first .. first + size - 1 become weights and slopes.
template <int V>
TOKENNET_INLINE void weights_and_slopes(const Queries& queries, int64_t first, int64_t size,
                                        bool causal, int64_t key, const KeyTile& tile) {
  constexpr int W = V * LANES;
  for (int64_t i = 0; i < size; ++i)
    for (int x = 0; x < V; ++x) {
      float* weight = tile.weights + i * W + x * LANES;
      float* slope = tile.slopes + i * W + x * LANES;
      Float<LANES> p = exp2<LANES>(load<LANES>(weight) - queries.log_sum[first + i]);
      if (causal && first + i < key + W) {
        Int<LANES> hidden = lanes_from<LANES>(key + x * LANES) > static_cast<int32_t>(first + i);
        p = hidden ? Float<LANES>{} : p;
      }
      store<LANES>(weight, p);
      store<LANES>(slope, p * (load<LANES>(slope) - queries.delta[first + i]));
    }
}

// Keys first .. first + count - 1 of a sample's head, count <= W; writes their dk and dv.
template <int V>
void keys_tile(const Ragged& a, const Queries& queries, const Sizes& sizes, Matrix k, Matrix v,
               int64_t first, int64_t count, KeyTile& tile, float* dk, float* dv) {
  constexpr int W = V * LANES;
  pack<W>(k.row(first), k.stride, count, sizes.depth, 1, tile.k);
  pack<W>(v.row(first), v.stride, count, sizes.channels, 1, tile.v);
  for (int64_t j = 0; j < count; ++j) {
    float* row = tile.k_rows + j * sizes.width;
    std::fill(std::copy_n(k.row(first + j), sizes.depth, row), row + sizes.width, 0.f);
  }
  std::fill(tile.dk, tile.dk + sizes.depth * W, 0.f);
  std::fill(tile.dv, tile.dv + sizes.channels * W, 0.f);
  int64_t end = rounded(queries.count, ROWS), size;
  for (int64_t i = a.causal ? first / ROWS * ROWS : 0; i < end; i += size) {
    size = std::min(QUERIES, end - i);
    const float *q = queries.q + i * sizes.depth, *grad = queries.grad + i * sizes.channels;
    products<V>(tile.k, q, sizes.depth, size, tile.weights, tile.ahead);
    products<V>(tile.v, grad, sizes.channels, size, tile.slopes, tile.ahead);
    weights_and_slopes<V>(queries, i, size, a.causal, first, tile);
    weigh<V>(tile.weights, grad, sizes.channels, size, tile.dv);
    weigh<V>(tile.slopes, q, sizes.depth, size, tile.dk);
    add_to_queries<W>(tile.slopes, tile.k_rows, count, size, sizes.width,
                      queries.dq + i * sizes.width);
  }
  unpack<W>(tile.dk, a.heads * sizes.depth, count, sizes.depth, LN_2, dk);  // q holds log2 e
  unpack<W>(tile.dv, a.heads * sizes.channels, count, sizes.channels, 1, dv);
}

// The queries of a sample's head, as the tiles need them.
void prepare(const Ragged& a, const Backward& b, int64_t token, int64_t head, const Sizes& sizes,
             const Queries& queries) {
  int64_t n = queries.count, padded = rounded(n, ROWS);
  Matrix q = a.q.at(token, head * sizes.depth), grad = b.grad.at(token, head * sizes.channels);
  Matrix out = b.out.at(token, head * sizes.channels);
  pack<ROWS>(q.data, q.stride, n, sizes.depth, a.scale * LOG2_E, queries.q);
  pack<ROWS>(grad.data, grad.stride, n, sizes.channels, 1, queries.grad);
  std::fill(queries.dq, queries.dq + padded * sizes.width, 0.f);
  std::fill(queries.log_sum + n, queries.log_sum + padded, __builtin_inff());
  std::fill(queries.delta + n, queries.delta + padded, 0.f);
  for (int64_t i = 0; i < n; ++i) {
    queries.log_sum[i] = b.log_sum[(token + i) * a.heads + head] * LOG2_E;
    const float *mine = grad.row(i), *result = out.row(i);
    Float<LANES> sum = {};
    int64_t c = 0;
    for (; c + LANES <= sizes.channels; c += LANES)
      sum += load<LANES>(mine + c) * load<LANES>(result + c);
    float rest = 0;
    for (; c < sizes.channels; ++c) rest += mine[c] * result[c];
    queries.delta[i] = rest + total<LANES>(sum);
  }
}

void differentiate(const Ragged& a, const Backward& b, int64_t sample, int64_t head) {
  constexpr int W = 2 * LANES;
  int64_t token = a.ptr[sample], n = a.ptr[sample + 1] - token, padded = rounded(n, ROWS);
  int64_t key = a.source_ptr[sample], m = a.source_ptr[sample + 1] - key;
  Sizes sizes{a.channels, a.value_channels, rounded(a.channels, LANES)};
  int64_t depth = sizes.depth, channels = sizes.channels;
  Room room(padded * (depth + channels + 2 + sizes.width) +
            W * (2 * (depth + channels + QUERIES) + sizes.width));
  float* free = room.get();
  auto take = [&](int64_t size) {
    float* taken = free;
    free += size;
    return taken;
  };
  KeyTile tile;
  tile.weights = take(QUERIES * W);
  tile.slopes = take(QUERIES * W);
  tile.k_rows = take(W * sizes.width);
  tile.k = take(W * depth);
  tile.v = take(W * channels);
  tile.dk = take(W * depth);
  tile.dv = take(W * channels);
  float* dq = take(padded * sizes.width);
  float* q = take(padded * depth);
  float* grad = take(padded * channels);
  float* log_sum = take(padded);
  Queries queries{n, q, grad, log_sum, take(padded), dq};
  prepare(a, b, token, head, sizes, queries);
  int64_t row = token * a.heads + head, source = key * a.heads + head;
  tile.ahead = {a.next(a.q, a.ptr, sample, head * depth, depth),
                a.next(b.grad, a.ptr, sample, head * channels, channels),
                a.next(b.out, a.ptr, sample, head * channels, channels),
                a.next(a.k, a.source_ptr, sample, head * depth, depth),
                a.next(a.v, a.source_ptr, sample, head * channels, channels),
                Ahead{b.dq + row * depth, a.heads * depth, n, depth},
                Ahead{b.dk + source * depth, a.heads * depth, m, depth},
                Ahead{b.dv + source * channels, a.heads * channels, m, channels}};
  Matrix k = a.k.at(key, head * depth), v = a.v.at(key, head * channels);
  for (int64_t first = 0; first < m; first += W) {
    int64_t count = std::min<int64_t>(W, m - first), to = source + first * a.heads;
    float *dk = b.dk + to * depth, *dv = b.dv + to * channels;
    if (count > LANES) {
      keys_tile<2>(a, queries, sizes, k, v, first, count, tile, dk, dv);
    } else {
      keys_tile<1>(a, queries, sizes, k, v, first, count, tile, dk, dv);
    }
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < depth; ++c)
      b.dq[(row + i * a.heads) * depth + c] = a.scale * queries.dq[i * sizes.width + c];
}

}  // namespace tokennet::ragged

using namespace tokennet;
using namespace tokennet::ragged;

// As tokennet_ragged_attend; grad, out, log_sum, dq, dk and dv have no gaps.
TOKENNET_EXPORT void tokennet_ragged_attend_backward(
    const int64_t* ptr, const int64_t* source_ptr, int64_t samples, int64_t heads,
    int64_t channels, int64_t value_channels, const float* q, int64_t q_stride, const float* k,
    int64_t k_stride, const float* v, int64_t v_stride, int64_t causal, float scale,
    const float* grad, const float* out, const float* log_sum, float* dq, float* dk, float* dv,
    int64_t threads) {
  Ragged a{samples, heads, channels, value_channels, ptr, source_ptr,
           {q, q_stride}, {k, k_stride}, {v, v_stride}, scale, causal != 0};
  int64_t width = heads * value_channels, cost = 0;
  Backward b{{grad, width}, {out, width}, log_sum, dq, dk, dv};
  in_large_pages(dq, ptr[samples] * heads * channels);
  in_large_pages(dk, source_ptr[samples] * heads * channels);
  in_large_pages(dv, source_ptr[samples] * width);
  for (int64_t s = 0; s < samples; ++s)
    cost += (ptr[s + 1] - ptr[s]) * (source_ptr[s + 1] - source_ptr[s]);
  in_blocks(samples * heads, 3 * cost * heads * (channels + value_channels), threads,
            [&](int64_t task) { differentiate(a, b, task / heads, task % heads); });
}
