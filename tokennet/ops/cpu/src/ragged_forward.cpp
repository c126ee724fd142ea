// Full attention within samples, forward: queries along the lanes, keys in chunks.
#include "export.h"
#include "ragged.h"

namespace tokennet::ragged {

constexpr int64_t KEYS = 128;  // keys whose scores exist at a time: 16 KB of L1 with 32 queries
constexpr int64_t PART = 512;   // queries of a task; packing the keys is a thirtieth of its work

struct Output {
  float* out;      // [T, H, C]
  float* log_sum;  // [T, H]
};

// What one task works in, of the sizes that its longest sample asks for.
struct QueryTile {
  float* queries;  // [D, W]
  float* scores;   // [KEYS, W]
  float* sums;     // [C, W]
  std::array<Ahead, 4> ahead;
};

// Scores become weights, relative to the largest so far; those of keys that don't count become 0.
template <int V>
TOKENNET_INLINE void weigh_keys(float* scores, int64_t size, Float<LANES>* most,
                                Float<LANES>* total, Float<LANES>* factor) {
  constexpr int W = V * LANES;
  Float<LANES> before[V];
  for (int x = 0; x < V; ++x) before[x] = most[x];
  for (int64_t j = 0; j < size; ++j)
    for (int x = 0; x < V; ++x)
      most[x] = larger<LANES>(most[x], load<LANES>(scores + j * W + x * LANES));
  for (int x = 0; x < V; ++x) {
    factor[x] = exp2<LANES>(before[x] - most[x]);
    total[x] *= factor[x];
  }
  for (int64_t j = 0; j < size; ++j)
    for (int x = 0; x < V; ++x) {
      float* at = scores + j * W + x * LANES;
      Float<LANES> weight = exp2<LANES>(load<LANES>(at) - most[x]);
      store<LANES>(at, weight);
      total[x] += weight;
    }
  std::fill(scores + size * W, scores + rounded(size, ROWS) * W, 0.f);
}

// Query i = first + lane doesn't see key j > i: its score becomes -inf.
template <int V>
void mask_later(float* scores, int64_t first, int64_t key, int64_t size) {
  constexpr int W = V * LANES;
  for (int64_t j = std::max<int64_t>(0, first + 1 - key); j < size; ++j)
    for (int x = 0; x < V; ++x) {
      float* at = scores + j * W + x * LANES;
      Int<LANES> hidden = lanes_from<LANES>(first + x * LANES) < static_cast<int32_t>(key + j);
      store<LANES>(at, hidden ? splat<LANES>(-__builtin_inff()) : load<LANES>(at));
    }
}

// Queries first .. first + count - 1 of a sample, count <= W.
template <int V>
void attend_tile(const Ragged& a, const Output& to, Matrix q, int64_t token, int64_t head,
                 const float* keys, const float* values, int64_t num_keys, int64_t first,
                 int64_t count, QueryTile& tile) {
  constexpr int W = V * LANES;
  const float infinite = __builtin_inff();
  int64_t depth = a.channels, channels = a.value_channels;
  pack<W>(q.row(first), q.stride, count, depth, a.scale * LOG2_E, tile.queries);
  std::fill(tile.sums, tile.sums + channels * W, 0.f);
  Float<LANES> most[V], total[V], factor[V];
  for (int x = 0; x < V; ++x) {
    most[x] = splat<LANES>(-infinite);
    total[x] = Float<LANES>{};
  }
  int64_t seen = a.causal ? std::min(num_keys, first + count) : num_keys;
  for (int64_t key = 0; key < seen; key += KEYS) {
    int64_t size = std::min(KEYS, seen - key);
    products<V>(tile.queries, keys + key * depth, depth, size, tile.scores, tile.ahead);
    if (a.causal) mask_later<V>(tile.scores, first, key, size);
    weigh_keys<V>(tile.scores, size, most, total, factor);
    for (int64_t c = 0; key > 0 && c < channels; ++c)
      for (int x = 0; x < V; ++x) {
        float* at = tile.sums + c * W + x * LANES;
        store<LANES>(at, factor[x] * load<LANES>(at));
      }
    weigh<V>(tile.scores, values + key * channels, channels, rounded(size, ROWS), tile.sums);
  }
  float log_sum[W];
  for (int x = 0; x < V; ++x) {
    Float<LANES> share = 1.f / total[x];
    for (int64_t c = 0; c < channels; ++c) {
      float* at = tile.sums + c * W + x * LANES;
      store<LANES>(at, share * load<LANES>(at));
    }
    store<LANES>(log_sum + x * LANES, (most[x] + log2<LANES>(total[x])) * LN_2);
  }
  int64_t row = (token + first) * a.heads + head;
  unpack<W>(tile.sums, a.heads * channels, count, channels, 1, to.out + row * channels);
  for (int64_t i = 0; i < count; ++i) to.log_sum[row + i * a.heads] = log_sum[i];
}

// Some of the queries of a sample, for one head.
void attend_part(const Ragged& a, const Output& to, int64_t sample, int64_t head, int64_t from) {
  int64_t token = a.ptr[sample], key = a.source_ptr[sample];
  int64_t end = std::min(from + PART, a.ptr[sample + 1] - token);
  int64_t num_keys = a.source_ptr[sample + 1] - key;
  if (from >= end) return;
  if (num_keys == 0) {
    for (int64_t i = token + from; i < token + end; ++i) {
      int64_t row = i * a.heads + head;
      std::fill_n(to.out + row * a.value_channels, a.value_channels, 0.f);
      to.log_sum[row] = __builtin_inff();
    }
    return;
  }
  if (a.causal) num_keys = std::min(num_keys, end);
  constexpr int W = 2 * LANES;
  int64_t depth = a.channels, channels = a.value_channels, padded = rounded(num_keys, ROWS);
  Room room(padded * (depth + channels) + W * (depth + channels + std::min(KEYS, padded)));
  float* keys = room.get();
  float* values = keys + padded * depth;
  float* queries = values + padded * channels;
  float* out = to.out + ((token + from) * a.heads + head) * channels;
  QueryTile tile{
      queries,
      queries + W * depth,
      queries + W * (depth + std::min(KEYS, padded)),
      {a.next(a.q, a.ptr, sample, head * depth, depth),
       a.next(a.k, a.source_ptr, sample, head * depth, depth),
       a.next(a.v, a.source_ptr, sample, head * channels, channels),
       Ahead{out, a.heads * channels, end - from, channels}}};
  Matrix k = a.k.at(key, head * depth), v = a.v.at(key, head * channels);
  pack<ROWS>(k.data, k.stride, num_keys, depth, 1, keys);
  pack<ROWS>(v.data, v.stride, num_keys, channels, 1, values);
  Matrix q = a.q.at(token, head * depth);
  auto run = [&](auto vectors, int64_t first) {
    attend_tile<vectors>(a, to, q, token, head, keys, values, num_keys, first,
                         std::min<int64_t>(end - first, vectors * LANES), tile);
  };
  for (int64_t first = from; first < end; first += W) {
    if (end - first > LANES) {
      run(std::integral_constant<int, 2>{}, first);
    } else {
      run(std::integral_constant<int, 1>{}, first);
    }
  }
}

}  // namespace tokennet::ragged

using namespace tokennet;
using namespace tokennet::ragged;

// q [T, heads, channels], k, v [M, heads, ...], rows any stride apart; out, log_sum without gaps.
TOKENNET_EXPORT void tokennet_ragged_attend(const int64_t* ptr, const int64_t* source_ptr,
                                            int64_t samples, int64_t heads, int64_t channels,
                                            int64_t value_channels, const float* q,
                                            int64_t q_stride, const float* k, int64_t k_stride,
                                            const float* v, int64_t v_stride, int64_t causal,
                                            float scale, float* out, float* log_sum,
                                            int64_t threads) {
  Ragged a{samples, heads, channels, value_channels, ptr, source_ptr,
           {q, q_stride}, {k, k_stride}, {v, v_stride}, scale, causal != 0};
  Output to{out, log_sum};
  in_large_pages(out, ptr[samples] * heads * value_channels);
  int64_t longest = 0, cost = 0;
  for (int64_t b = 0; b < samples; ++b) {
    int64_t size = ptr[b + 1] - ptr[b];
    longest = std::max(longest, size);
    cost += size * (source_ptr[b + 1] - source_ptr[b]) * heads * (channels + value_channels);
  }
  int64_t parts = (longest + PART - 1) / PART;
  in_blocks(samples * heads * parts, cost, threads, [&](int64_t task) {
    int64_t pair = task / parts;
    attend_part(a, to, pair / heads, pair % heads, task % parts * PART);
  });
}
