// The backward pass over the edges into each row: dq, and all that belongs to an edge.
//
// p = exp(score - log_sum), d score = p (<grad, message> - delta), delta = <grad, out>. Both are
// left for the columns, edge by edge: to read them there is 1.4 times as fast as computing anew.
#pragma once

#include "attend.h"
#include "leaky_sums.h"

namespace tokennet {

// Where the columns find an edge's [2, padded]: weights after dropout, and d score.
struct Pairs {
  float* data;
  int64_t first;  // the edge that stands there first

  float* at(int64_t edge, int padded) const { return data + (edge - first) * 2 * padded; }
};

class RowGradients {
 public:
  RowGradients(const Attend& call, const AttendGradients& gradients, Pairs pairs)
      : call_(call),
        gradients_(gradients),
        pairs_(pairs),
        scorer_(call),
        padded_(scorer_.padded()),
        heads_(static_cast<int>(call.heads)),
        width_(call.heads * call.channels),
        value_width_(call.heads * call.value_channels),
        feature_width_(call.heads * call.features),
        value_dots_(choose_dots<false>(call.value_channels, call.heads)),
        weights_((EDGES + 16) * padded_),
        scaled_((EDGES + 16) * padded_),
        slopes_((EDGES + 16) * padded_),
        steep_(call.score == GAT ? (EDGES + 16) * padded_ : 0),
        log_sum_(16 + padded_),
        delta_(16 + padded_),
        scratch_(16 * padded_),
        unwanted_(call.score == GATV2 && !gradients.q ? width_ : 0) {
    std::fill_n(unwanted_.get(), call.score == GATV2 && !gradients.q ? width_ : 0, 0.f);
    if (call.score == DOT) weigh_ = choose_weigh(call.channels, call.heads);
    if (call.score == GATV2) leaky_sums_ = choose_leaky_sums(call.channels);
    if (call.score == GAT) scorer_.keep_slopes(steep_.get());
    if (call.features) {
      feature_dots_ = choose_dots<false>(call.features, call.heads, true);
      own_feature_dots_ = choose_dots<false>(call.features, call.heads);
      weigh_features_ = choose_weigh(call.features, call.heads, true);
    }
  }

  // Adds to `vector` [H, D] what these rows contribute to the gradient of the vector.
  void rows(int64_t first, int64_t last, float* vector) {
    for (int64_t row = first; row < last; ++row) {
      int64_t begin = call_.ptr[row], end = call_.ptr[row + 1];
      if (begin == end || leaky_sums_) clear(row);
      if (begin == end) continue;
      scorer_.start(row);
      start(row);
      for (int64_t e = begin; e < end; e += EDGES) {
        int count = static_cast<int>(std::min<int64_t>(EDGES, end - e));
        block(row, e, count, call_.ptr[last] - e);
        own_gradients(row, e, count, e == begin, vector);
      }
      if (leaky_sums_ && gradients_.q)
        for (int64_t i = 0; i < width_; ++i) gradients_.q[row * width_ + i] *= call_.vector[i];
    }
  }

 private:
  void clear(int64_t row) const {
    const int64_t width = call_.score == GAT ? call_.heads : width_;
    if (gradients_.q) std::fill_n(gradients_.q + row * width, width, 0.f);
    if (gradients_.edge_query)
      std::fill_n(gradients_.edge_query + row * feature_width_, feature_width_, 0.f);
  }

  // delta and log_sum of a row, repeated as heads are in a vector; a head that is none weighs 0.
  void start(int64_t row) {
    const float* grad = gradients_.grad + row * value_width_;
    float* delta = scratch_.get();
    Rows out{call_.out + row * value_width_, 0, call_.value_channels, IN_ORDER.numbers};
    value_dots_(Own{grad, nullptr, 0}, out, 1, static_cast<int>(call_.value_channels), heads_,
                padded_, delta, false);
    if (gradients_.grad_edge) {
      Rows features{call_.edge_out + row * feature_width_, 0, call_.features, IN_ORDER.numbers};
      own_feature_dots_(Own{gradients_.grad_edge + row * feature_width_, nullptr, 0}, features, 1,
                        static_cast<int>(call_.features), heads_, padded_, delta, true);
    }
    const float* log_sum = call_.log_sum + row * heads_;
    for (int i = 0; i < std::max(padded_, LANES); ++i) {
      int h = i % padded_;
      delta_.get()[i] = delta[h];
      log_sum_.get()[i] = h < heads_ ? log_sum[h] * LOG2_E : INFINITY;
    }
  }

  // Fills weights_ (after dropout), slopes_ (d score) and scaled_ (d score times scale).
  void block(int64_t row, int64_t first, int count, int64_t known) {
    float *s = weights_.get(), *t = slopes_.get();
    scorer_.scores(first, count, known, s);
    Rows values{call_.v, call_.v_stride, call_.value_channels, call_.index + first, known};
    value_dots_(Own{gradients_.grad + row * value_width_, nullptr, 0}, values, count,
                static_cast<int>(call_.value_channels), heads_, padded_, t, false);
    if (gradients_.grad_edge) {
      Rows features{call_.attr + first * call_.features, call_.features, 0, IN_ORDER.numbers};
      feature_dots_(Own{gradients_.grad_edge + row * feature_width_, nullptr, 0}, features, count,
                    static_cast<int>(call_.features), heads_, padded_, t, true);
    }
    const int size = count * padded_, step = std::max(padded_, LANES);
    for (int i = size; i % LANES != 0; ++i) t[i] = 0;
    if (call_.kept) drop(call_.kept + first * heads_, count, heads_, padded_, t);
    const float share = static_cast<float>(call_.share), scale = static_cast<float>(call_.scale);
    for (int u = 0; u < step; u += LANES) {
      Float<LANES> log_sum = load<LANES>(log_sum_.get() + u), delta = load<LANES>(delta_.get() + u);
      for (int i = u; i < size; i += step) {
        Float<LANES> weight = exp2<LANES>(load<LANES>(s + i) - log_sum);
        Float<LANES> slope = weight * (load<LANES>(t + i) * share - delta);
        if (call_.score == GAT) slope *= load<LANES>(steep_.get() + i);
        store<LANES>(s + i, weight * share);
        store<LANES>(t + i, slope);
        if (call_.score == DOT) store<LANES>(scaled_.get() + i, slope * scale);
      }
    }
    if (call_.kept) drop(call_.kept + first * heads_, count, heads_, padded_, s);
  }

  // What the row and its edges get from a block.
  void own_gradients(int64_t row, int64_t first, int count, bool fresh, float* vector) {
    const float *weights = weights_.get(), *slopes = slopes_.get();
    const float* scaled = call_.score == DOT ? scaled_.get() : slopes;
    Rows keys{call_.k, call_.k_stride, call_.channels, call_.index + first};
    const int channels = static_cast<int>(call_.channels);
    if (gradients_.q && call_.score == DOT) {
      weigh_(scaled, keys, count, channels, heads_, padded_, gradients_.q + row * width_, fresh);
    } else if (gradients_.q && call_.score == GAT) {
      head_sums(slopes, count, heads_, padded_, gradients_.q + row * heads_, fresh);
    } else if (leaky_sums_ && (gradients_.q || vector)) {
      float* sums = gradients_.q ? gradients_.q + row * width_ : unwanted_.get();
      leaky_sums_(slopes, call_.q + row * call_.q_stride, keys, static_cast<float>(call_.slope),
                  count, channels, heads_, padded_, sums, vector);
    }
    if (gradients_.bias)
      for (int e = 0; e < count; ++e)
        for (int h = 0; h < heads_; ++h)
          gradients_.bias[(first + e) * heads_ + h] = slopes[e * padded_ + h];
    if (call_.features) of_features(row, first, count, fresh);
    if (pairs_.data) {
      with_lanes(std::min(lanes_of(padded_), LANES), [&](auto lanes) {
        for (int e = 0; e < count; ++e) {
          float* to = pairs_.at(first + e, padded_);
          for (int h = 0; h < padded_; h += lanes) {
            store<lanes>(to + h, load<lanes>(weights + e * padded_ + h));
            store<lanes>(to + padded_ + h, load<lanes>(scaled + e * padded_ + h));
          }
        }
      });
    }
  }

  void of_features(int64_t row, int64_t first, int count, bool fresh) const {
    const int features = static_cast<int>(call_.features);
    const float *weights = weights_.get(), *scaled = scaled_.get();
    if (gradients_.edge_query) {
      Rows rows{call_.attr + first * features, features, 0, IN_ORDER.numbers};
      weigh_features_(scaled, rows, count, features, heads_, padded_,
                      gradients_.edge_query + row * feature_width_, fresh);
    }
    if (!gradients_.attr) return;
    const float* query = call_.edge_query + row * feature_width_;
    const float* grad = gradients_.grad_edge;
    if (grad) grad += row * feature_width_;
    for (int e = 0; e < count; ++e) {
      float* to = gradients_.attr + (first + e) * features;
      std::fill_n(to, features, 0.f);
      for (int h = 0; h < heads_; ++h) {
        float slope = scaled[e * padded_ + h], weight = weights[e * padded_ + h];
        for (int c = 0; c < features; ++c) to[c] += slope * query[h * features + c];
        if (grad)
          for (int c = 0; c < features; ++c) to[c] += weight * grad[h * features + c];
      }
    }
  }

  const Attend& call_;
  const AttendGradients& gradients_;
  Pairs pairs_;
  Scorer scorer_;
  int padded_, heads_;
  int64_t width_, value_width_, feature_width_;
  Dots value_dots_, feature_dots_ = nullptr, own_feature_dots_ = nullptr;
  Weigh weigh_ = nullptr, weigh_features_ = nullptr;
  LeakySums leaky_sums_ = nullptr;
  Room weights_, scaled_, slopes_, steep_, log_sum_, delta_, scratch_, unwanted_;
};

}  // namespace tokennet
