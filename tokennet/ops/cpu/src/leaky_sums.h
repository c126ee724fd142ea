// Gradients through the leaky ReLU of "gatv2", of one row and the rows that its edges name.
#pragma once

#include "dots.h"

namespace tokennet {

// sums_h += sum over edges of weight_eh leaky'(own_h + row_h), and with `products` of
// weight_eh leaky(own_h + row_h) as well; weights are [count, padded], the rest [H, D].
using LeakySums = void (*)(const float* weights, const float* own, const Rows& rows, float slope,
                           int count, int channels, int heads, int padded, float* sums,
                           float* products);

template <int L>
void leaky_sums(const float* weights, const float* own, const Rows& rows, float slope, int count,
                int channels, int heads, int padded, float* sums, float* products) {
  for (int h = 0; h < heads; ++h) {
    for (int c = h * channels; c < (h + 1) * channels; c += L) {
      Float<L> mine = load<L>(own + c), sum = load<L>(sums + c);
      Float<L> product = products ? load<L>(products + c) : Float<L>{};
      for (int e = 0; e < count; ++e) {
        Float<L> both = mine + load<L>(rows.at(e) + c);
        Float<L> weight = splat<L>(weights[e * padded + h]);
        Float<L> steep = both > 0.f ? weight : weight * slope;
        sum += steep;
        product += steep * both;
      }
      store<L>(sums + c, sum);
      if (products) store<L>(products + c, product);
    }
  }
}

inline LeakySums choose_leaky_sums(int64_t channels) {
  return with_lanes(lanes_of(channels), [](auto lanes) -> LeakySums { return leaky_sums<lanes>; });
}

}  // namespace tokennet
