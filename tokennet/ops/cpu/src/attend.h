// Attention over edges: what a call is given, and the scores of a block of edges.
//
// Scores are kept in base 2: queries (the vector of "gatv2", biases) are multiplied by log2 e.
#pragma once

#include <cmath>

#include "dots.h"
#include "weigh.h"

namespace tokennet {

enum Score : int64_t { DOT = 0, GAT = 1, GATV2 = 2 };

// As attend.py's Call: T rows, E edges, H heads, D channels of a key, C of a value, K of an edge.
struct Attend {
  int64_t score, rows, heads, channels, value_channels, features, threads;
  const int64_t* ptr;
  const int32_t* index;
  const float *q, *k, *v;
  int64_t q_stride, k_stride, v_stride;
  const float *vector, *bias, *edge_query, *attr;  // where there are none null; so with no edges
  const uint8_t* kept;                             // null: all are
  double scale, slope, share;                      // share = 1 / (1 - dropout)
  float *out, *edge_out, *log_sum;
};

// The rest of a backward call: what comes in, and where gradients go (null: not wanted).
struct AttendGradients {
  const float *grad, *grad_edge;  // [T, H, C], [T, H, K] or null
  int64_t columns, edges;         // edges of `bias` and `attr`, with those left out
  const int64_t* column_ptr;
  const int32_t *column_index, *column_place;
  float *q, *k, *v, *vector, *bias, *edge_query, *attr;
};

// 0, 1, 2, ...: the rows of a table of edges are those of the block itself.
struct Counting {
  int32_t numbers[EDGES];
};
constexpr Counting counting() {
  Counting all{};
  for (int i = 0; i < EDGES; ++i) all.numbers[i] = i;
  return all;
}
inline constexpr Counting IN_ORDER = counting();

// Scores of blocks of edges [count, padded], with what one thread needs for it.
class Scorer {
 public:
  explicit Scorer(const Attend& call)
      : call_(call),
        padded_(static_cast<int>(padded_heads(call.heads))),
        heads_(static_cast<int>(call.heads)),
        own_(call.score == GAT ? padded_ : call.heads * call.channels),
        vector_(call.score == GATV2 ? call.heads * call.channels : 0),
        query_(call.features ? call.heads * call.features : 0) {
    if (call.score == GATV2) {
      dots_ = choose_dots<true>(call.channels, call.heads);
      scale_to(vector_.get(), call.vector, call.heads * call.channels, LOG2_E);
    } else {
      dots_ = choose_dots<false>(call.channels, call.heads);
    }
    if (call.features) feature_dots_ = choose_dots<false>(call.features, call.heads, true);
  }

  int padded() const { return padded_; }

  // Makes ready the queries of a row.
  void start(int64_t row) {
    const float* q = call_.q + row * call_.q_stride;
    const float scale = static_cast<float>(call_.scale * LOG2_E);
    if (call_.score == DOT) {
      scale_to(own_.get(), q, call_.heads * call_.channels, scale);
    } else if (call_.score == GATV2) {
      own_values_ = q;
    } else {
      for (int i = 0; i < padded_; ++i) own_.get()[i] = q[std::min(i, heads_ - 1)];
    }
    if (call_.score == DOT) own_values_ = own_.get();
    if (call_.features) {
      int64_t size = call_.heads * call_.features;
      scale_to(query_.get(), call_.edge_query + row * size, size, scale);
    }
  }

  // Of "gat": writes the slope of the leaky ReLU at each score beside it.
  void keep_slopes(float* slopes) { slopes_ = slopes; }

  // The scores of edges first .. first + count - 1, of `known` from first on that will be asked
  // for; what stands behind them is -inf.
  void scores(int64_t first, int count, int64_t known, float* s) const {
    if (call_.score == GAT) {
      additive(first, count, s);
    } else {
      Rows keys{call_.k, call_.k_stride, call_.channels, call_.index + first, known};
      Own own{own_values_, vector_.get(), static_cast<float>(call_.slope)};
      dots_(own, keys, count, static_cast<int>(call_.channels), heads_, padded_, s, false);
      if (call_.features) {
        Rows features{call_.attr + first * call_.features, call_.features, 0, IN_ORDER.numbers};
        feature_dots_(Own{query_.get(), nullptr, 0}, features, count,
                      static_cast<int>(call_.features), heads_, padded_, s, true);
      }
      if (call_.bias) add_bias(first, count, s);
    }
    for (int i = count * padded_; i % LANES != 0; ++i) s[i] = -INFINITY;
  }

 private:
  static void scale_to(float* to, const float* from, int64_t size, float scale) {
    for (int64_t i = 0; i < size; ++i) to[i] = from[i] * scale;
  }

  void add_bias(int64_t first, int count, float* s) const {
    const float* bias = call_.bias + first * heads_;
    if (heads_ == padded_) {
      for (int i = 0; i < count * heads_; ++i) s[i] += bias[i] * LOG2_E;
    } else {
      for (int e = 0; e < count; ++e)
        for (int h = 0; h < heads_; ++h) s[e * padded_ + h] += bias[e * heads_ + h] * LOG2_E;
    }
  }

  // leaky(q + k + bias): a number for each edge and head.
  void additive(int64_t first, int count, float* s) const {
    const float* own = own_.get();
    for (int e = 0; e < count; ++e) {
      const float* key = call_.k + call_.index[first + e] * call_.k_stride;
      for (int h = 0; h < heads_; ++h) s[e * padded_ + h] = own[h] + key[h];
      for (int h = heads_; h < padded_; ++h) s[e * padded_ + h] = 0;
    }
    if (call_.bias) {
      const float* bias = call_.bias + first * heads_;
      for (int e = 0; e < count; ++e)
        for (int h = 0; h < heads_; ++h) s[e * padded_ + h] += bias[e * heads_ + h];
    }
    const float slope = static_cast<float>(call_.slope);
    for (int i = 0; i < count * padded_; i += LANES) {
      Float<LANES> x = load<LANES>(s + i);
      store<LANES>(s + i, leaky<LANES>(x, slope) * LOG2_E);
      if (slopes_) store<LANES>(slopes_ + i, x > 0.f ? splat<LANES>(1) : splat<LANES>(slope));
    }
  }

  const Attend& call_;
  int padded_, heads_;
  Room own_, vector_, query_;
  const float* own_values_ = nullptr;
  float* slopes_ = nullptr;
  Dots dots_ = nullptr, feature_dots_ = nullptr;
};

// Sums or maxima over the lanes that hold the same head.
template <int DISTANCE, class Pair>
TOKENNET_INLINE Float<LANES> over_edges(Float<LANES> x, int padded, const Pair& pair) {
  if constexpr (DISTANCE == 0) {
    return x;
  } else {
    if (DISTANCE >= padded) x = pair(x, swapped<LANES, DISTANCE>(x));
    return over_edges<DISTANCE / 2>(x, padded, pair);
  }
}

// Sums over the edges of numbers [count, padded], whose last vector ends with zeros.
inline void head_sums(const float* numbers, int count, int heads, int padded, float* to,
                      bool fresh) {
  const int step = std::max(padded, LANES);
  for (int first = 0; first < step; first += LANES) {
    Float<LANES> sum{};
    for (int i = first; i < count * padded; i += step) sum += load<LANES>(numbers + i);
    sum = over_edges<LANES / 2>(sum, padded,
                                [](Float<LANES> a, Float<LANES> b) { return a + b; });
    float lanes[LANES];
    store<LANES>(lanes, sum);
    for (int i = 0; i < LANES && first + i < heads; ++i)
      to[first + i] = (fresh ? 0.f : to[first + i]) + lanes[i];
  }
}

// Numbers of each head in a vector: how many vectors all heads need.
inline int units_of(int padded) { return std::max(padded / LANES, 1); }

// Zeroes the weights that dropout took.
inline void drop(const uint8_t* kept, int count, int heads, int padded, float* weights) {
  if (heads == padded) {
    for (int i = 0; i < count * heads; ++i) weights[i] = kept[i] ? weights[i] : 0.f;
  } else {
    for (int e = 0; e < count; ++e)
      for (int h = 0; h < heads; ++h)
        if (!kept[e * heads + h]) weights[e * padded + h] = 0;
  }
}

}  // namespace tokennet
