// Softmax over the entries of each row, head by head, and its gradient: values are [E, H].
//
// Where H is a power of two below LANES, a vector holds all heads of some entries, and lanes of the
// same head are brought together by swaps. Otherwise vectors lie along the heads, the last of them
// ending with the last head, and nothing has to be brought together.
#pragma once

#include "gather.h"

namespace tokennet::gather {

struct Softmax {
  Form form;  // of segments: entries are the values
  int64_t heads;
  const float* scores;  // or weights
  const float* grad;    // of the weights; null in the forward pass
  float* out;
};

// The same in all lanes of a head, where HEADS stand in a vector.
template <int L, int HEADS, int D = L / 2, class Merge>
TOKENNET_INLINE Float<L> over_entries(Float<L> x, const Merge& merge) {
  if constexpr (D >= HEADS) {
    return over_entries<L, HEADS, D / 2>(merge(x, swapped<L, D>(x)), merge);
  } else {
    return x;
  }
}

template <int L>
TOKENNET_INLINE Float<L> reciprocal(Float<L> sum) {
  return sum == 0.f ? Float<L>{} : 1.f / sum;
}

// -- vectors over entries and heads --------------------------------------------------------------

// The first `count` of L numbers; reads L where `free` many may be read.
template <int L>
TOKENNET_INLINE Float<L> load_few(const float* from, int64_t count, int64_t free, float rest) {
  if (free < L) return load_part<L>(from, static_cast<int>(count), rest);
  Int<L> lane;
  for (int i = 0; i < L; ++i) lane[i] = i;
  return lane < static_cast<int32_t>(count) ? load<L>(from) : splat<L>(rest);
}

template <int L>
TOKENNET_INLINE void store_few(float* to, Float<L> x, int64_t count) {
  if (count >= L) return store<L>(to, x);
  store_part<L>(to, x, static_cast<int>(count));
}

template <int L, int HEADS>
void softmax_dense(const Softmax& a, int64_t from, int64_t to) {
  const float infinite = __builtin_inff();
  int64_t all = a.form.count() * HEADS;
  for (int64_t s = from; s < to; ++s) {
    int64_t start = a.form.ptr[s] * HEADS, end = a.form.ptr[s + 1] * HEADS;
    Float<L> most = splat<L>(-infinite), sum = {};
    for (int64_t i = start; i < end; i += L)
      most = larger<L>(most, load_few<L>(a.scores + i, end - i, all - i, -infinite));
    most = over_entries<L, HEADS>(most, larger<L>);
    most = most == -infinite ? Float<L>{} : most;
    for (int64_t i = start; i < end; i += L) {
      Float<L> score = load_few<L>(a.scores + i, end - i, all - i, -infinite);
      Float<L> power = exp2<L>((score - most) * LOG2_E);
      store_few<L>(a.out + i, power, end - i);
      sum += power;
    }
    sum = over_entries<L, HEADS>(sum, [](Float<L> x, Float<L> y) { return x + y; });
    Float<L> share = reciprocal<L>(sum);
    for (int64_t i = start; i < end; i += L)
      store_few<L>(a.out + i, share * load_few<L>(a.out + i, end - i, end - i, 0), end - i);
  }
}

template <int L, int HEADS>
void softmax_gradient_dense(const Softmax& a, int64_t from, int64_t to) {
  int64_t all = a.form.count() * HEADS;
  for (int64_t s = from; s < to; ++s) {
    int64_t start = a.form.ptr[s] * HEADS, end = a.form.ptr[s + 1] * HEADS;
    Float<L> sum = {};
    auto weight = [&](int64_t i) { return load_few<L>(a.scores + i, end - i, all - i, 0); };
    auto grad = [&](int64_t i) { return load_few<L>(a.grad + i, end - i, all - i, 0); };
    for (int64_t i = start; i < end; i += L) sum += weight(i) * grad(i);
    sum = over_entries<L, HEADS>(sum, [](Float<L> x, Float<L> y) { return x + y; });
    for (int64_t i = start; i < end; i += L)
      store_few<L>(a.out + i, weight(i) * (grad(i) - sum), end - i);
  }
}

// -- vectors along the heads ---------------------------------------------------------------------

template <int L>
void softmax_wide(const Softmax& a, int64_t from, int64_t to) {
  int64_t vectors = (a.heads + L - 1) / L;
  for (int64_t s = from; s < to; ++s) {
    int64_t start = a.form.ptr[s], end = a.form.ptr[s + 1];
    for (int64_t v = 0; v < vectors; ++v) {
      int64_t at = std::min(v * L, a.heads - L);
      Float<L> most = splat<L>(-__builtin_inff()), sum = {};
      for (int64_t e = start; e < end; ++e)
        most = larger<L>(most, load<L>(a.scores + e * a.heads + at));
      most = most == -__builtin_inff() ? Float<L>{} : most;
      for (int64_t e = start; e < end; ++e) {
        Float<L> score = load<L>(a.scores + e * a.heads + at);
        Float<L> power = exp2<L>((score - most) * LOG2_E);
        store<L>(a.out + e * a.heads + at, power);
        sum += power;
      }
      Float<L> share = reciprocal<L>(sum);
      for (int64_t e = start; e < end; ++e) {
        float* to_weight = a.out + e * a.heads + at;
        store<L>(to_weight, share * load<L>(to_weight));
      }
    }
  }
}

template <int L>
void softmax_gradient_wide(const Softmax& a, int64_t from, int64_t to) {
  int64_t vectors = (a.heads + L - 1) / L;
  for (int64_t s = from; s < to; ++s) {
    for (int64_t v = 0; v < vectors; ++v) {
      int64_t at = std::min(v * L, a.heads - L);
      Float<L> sum = {};
      for (int64_t e = a.form.ptr[s]; e < a.form.ptr[s + 1]; ++e)
        sum += load<L>(a.scores + e * a.heads + at) * load<L>(a.grad + e * a.heads + at);
      for (int64_t e = a.form.ptr[s]; e < a.form.ptr[s + 1]; ++e) {
        int64_t i = e * a.heads + at;
        store<L>(a.out + i, load<L>(a.scores + i) * (load<L>(a.grad + i) - sum));
      }
    }
  }
}

using SoftmaxRows = void (*)(const Softmax&, int64_t, int64_t);

// The kernel for so many heads: dense below LANES and a power of two, else along the heads.
template <int HEADS = LANES / 2>
SoftmaxRows choose_softmax(int64_t heads, bool gradient) {
  if constexpr (HEADS > 0) {
    if (heads == HEADS)
      return gradient ? softmax_gradient_dense<LANES, HEADS> : softmax_dense<LANES, HEADS>;
    return choose_softmax<HEADS / 2>(heads, gradient);
  } else {
    SoftmaxRows chosen = nullptr;
    with_width(heads, [&](auto width) {
      chosen = gradient ? softmax_gradient_wide<width> : softmax_wide<width>;
    });
    return chosen;
  }
}

}  // namespace tokennet::gather
