// Attention over the edges into each row, in one pass: scores, online softmax, weighted sum.
#pragma once

#include "attend.h"
#include "threads.h"

namespace tokennet {

class Forward {
 public:
  explicit Forward(const Attend& call)
      : call_(call),
        scorer_(call),
        padded_(scorer_.padded()),
        units_(units_of(padded_)),
        heads_(static_cast<int>(call.heads)),
        weigh_(choose_weigh(call.value_channels, call.heads)),
        weights_((EDGES + 16) * padded_),
        largest_(units_ * LANES),
        total_(units_ * LANES),
        factor_(units_ * LANES),
        sums_(call.heads * call.value_channels),
        feature_sums_(call.features ? call.heads * call.features : 0) {
    if (call.features) weigh_features_ = choose_weigh(call.features, call.heads, true);
  }

  void rows(int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      int64_t begin = call_.ptr[row], end = call_.ptr[row + 1];
      if (begin == end) {
        empty(row);
        continue;
      }
      scorer_.start(row);
      for (int64_t e = begin; e < end; e += EDGES) {
        int count = static_cast<int>(std::min<int64_t>(EDGES, end - e));
        block(e, count, call_.ptr[last] - e, e == begin);
      }
      finish(row);
    }
  }

 private:
  void block(int64_t first, int count, int64_t known, bool fresh) {
    float* s = weights_.get();
    scorer_.scores(first, count, known, s);
    bool rescale = false;
    for (int u = 0; u < units_; ++u) rescale |= softmax(s, count, u, fresh);
    if (rescale) {
      scale_heads(sums_.get(), call_.value_channels);
      if (call_.features) scale_heads(feature_sums_.get(), call_.features);
    }
    if (call_.kept) drop(call_.kept + first * heads_, count, heads_, padded_, s);
    Rows values{call_.v, call_.v_stride, call_.value_channels, call_.index + first, known};
    weigh_(s, values, count, static_cast<int>(call_.value_channels), heads_, padded_, sums_.get(),
           fresh);
    if (call_.features) {
      Rows features{call_.attr + first * call_.features, call_.features, 0, IN_ORDER.numbers};
      weigh_features_(s, features, count, static_cast<int>(call_.features), heads_, padded_,
                      feature_sums_.get(), fresh);
    }
  }

  // Scores to exp(score - largest so far); whether the sums of earlier blocks must shrink.
  bool softmax(float* s, int count, int unit, bool fresh) {
    const int size = count * padded_, step = units_ * LANES;
    float* at = s + unit * LANES;
    float* largest = largest_.get() + unit * LANES;
    Float<LANES> before = fresh ? splat<LANES>(-INFINITY) : load<LANES>(largest);
    Float<LANES> most = before;
    for (int i = 0; i < size; i += step) most = larger<LANES>(load<LANES>(at + i), most);
    most = over_edges<LANES / 2>(most, padded_, larger<LANES>);
    // a head with nothing but -inf so far: exp(-inf - 0) is 0 where -inf - -inf would be NaN
    Float<LANES> base = most == -INFINITY ? Float<LANES>{} : most;
    Float<LANES> sum{};
    for (int i = 0; i < size; i += step) {
      Float<LANES> weight = exp2<LANES>(load<LANES>(at + i) - base);
      store<LANES>(at + i, weight);
      sum += weight;
    }
    store<LANES>(largest, most);
    float* total = total_.get() + unit * LANES;
    if (fresh) {
      store<LANES>(total, sum);
      return false;
    }
    Float<LANES> factor = exp2<LANES>(before - base);
    store<LANES>(total, load<LANES>(total) * factor + sum);
    store<LANES>(factor_.get() + unit * LANES, factor);
    return true;
  }

  void scale_heads(float* sums, int64_t channels) const {
    for (int h = 0; h < heads_; ++h) {
      float factor = factor_.get()[h];
      for (int64_t c = 0; c < channels; ++c) sums[h * channels + c] *= factor;
    }
  }

  void finish(int64_t row) {
    for (int u = 0; u < units_; ++u) {
      float* total = total_.get() + u * LANES;
      Float<LANES> sum = over_edges<LANES / 2>(
          load<LANES>(total), padded_, [](Float<LANES> a, Float<LANES> b) { return a + b; });
      Float<LANES> inverse = sum == 0.f ? Float<LANES>{} : static_cast<float>(call_.share) / sum;
      Float<LANES> log = (load<LANES>(largest_.get() + u * LANES) + log2<LANES>(sum)) * LN_2;
      store<LANES>(factor_.get() + u * LANES, inverse);
      store<LANES>(total, sum == 0.f ? splat<LANES>(INFINITY) : log);
    }
    float* log_sum = call_.log_sum + row * heads_;
    for (int h = 0; h < heads_; ++h) log_sum[h] = total_.get()[h];
    write(call_.out + row * heads_ * call_.value_channels, sums_.get(), call_.value_channels);
    if (call_.features)
      write(call_.edge_out + row * heads_ * call_.features, feature_sums_.get(), call_.features);
  }

  void write(float* to, const float* sums, int64_t channels) const {
    for (int h = 0; h < heads_; ++h) {
      float factor = factor_.get()[h];
      for (int64_t c = 0; c < channels; ++c) to[h * channels + c] = sums[h * channels + c] * factor;
    }
  }

  void empty(int64_t row) const {
    std::fill_n(call_.log_sum + row * heads_, heads_, INFINITY);
    const int64_t width = heads_ * call_.value_channels;
    std::fill_n(call_.out + row * width, width, 0.f);
    if (call_.features)
      std::fill_n(call_.edge_out + row * heads_ * call_.features, heads_ * call_.features, 0.f);
  }

  const Attend& call_;
  Scorer scorer_;
  int padded_, units_, heads_;
  Weigh weigh_, weigh_features_ = nullptr;
  Room weights_, largest_, total_, factor_, sums_, feature_sums_;
};

inline void forward(const Attend& call) {
  int64_t cost = call.heads * (call.channels + call.value_channels);
  in_large_pages(call.out, call.rows * call.heads * call.value_channels);
  over_rows(call.ptr, 0, call.rows, cost, call.threads,
            [&](int64_t first, int64_t last) { Forward(call).rows(first, last); });
}

}  // namespace tokennet
