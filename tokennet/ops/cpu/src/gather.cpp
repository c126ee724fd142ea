// Sums, dot products, maxima and softmax over the rows of a compressed form: what Python calls.
//
// Sizes and strides are counted in numbers; pointers to an index, a place or weights may be null.
#include "dots.h"
#include "export.h"
#include "gather.h"
#include "softmax.h"

using namespace tokennet;
using namespace tokennet::gather;

// x [T, heads, channels], rows `stride` apart; weight [E, heads]; out [rows, heads, channels].
TOKENNET_EXPORT void tokennet_gather_sum(const int64_t* ptr, const int32_t* index,
                                         const int32_t* place, int64_t rows, const float* x,
                                         int64_t stride, const float* weight, int64_t heads,
                                         int64_t channels, float* out, int64_t threads) {
  if (!weight || heads == 1) {
    channels *= heads;
    heads = 1;
  }
  in_large_pages(out, rows * heads * channels);
  Sum sum{{rows, ptr, index, place}, x, stride, weight, heads, channels, out};
  over_rows(ptr, 0, rows, heads * channels, threads, [&](int64_t from, int64_t to) {
    with_width(channels, [&](auto width) {
      if (heads > 1) return sum_groups<width>(sum, from, to);
      over_channels<width, 8>(channels, [&](auto vectors, int64_t first, int64_t last) {
        if (weight) return sum_rows<width, vectors, true>(sum, from, to, first, last);
        sum_rows<width, vectors, false>(sum, from, to, first, last);
      });
    });
  });
}

// q [rows, heads, channels] . k [T, heads, channels] at out [edges, heads].
TOKENNET_EXPORT void tokennet_sddmm(const int64_t* ptr, const int32_t* index, int64_t rows,
                                    const float* q, int64_t q_stride, const float* k,
                                    int64_t k_stride, int64_t heads, int64_t channels,
                                    int64_t edges, float* out, int64_t threads) {
  int64_t padded = padded_heads(heads), count = rows ? ptr[rows] : 0;
  Dots dots = choose_dots<false>(channels, heads);
  over_rows(ptr, 0, rows, heads * channels, threads, [&](int64_t from, int64_t to) {
    Room room((EDGES + LANES) * padded);
    for (int64_t s = from; s < to; ++s) {
      Own own{q + s * q_stride, nullptr, 0};
      for (int64_t e = ptr[s]; e < ptr[s + 1]; e += EDGES) {
        int size = static_cast<int>(std::min<int64_t>(EDGES, ptr[s + 1] - e));
        for (int64_t a = e + size; a < std::min(e + size + EDGES / 2, count); ++a)
          for (int64_t c = 0; c < heads * channels; c += 16)
            __builtin_prefetch(k + index[a] * k_stride + c);
        dots(own, Rows{k, k_stride, channels, index + e}, size, static_cast<int>(channels),
             static_cast<int>(heads), static_cast<int>(padded), room.get(), false);
        for (int i = 0; i < size; ++i)
          std::copy_n(room.get() + i * padded, heads, out + (e + i) * heads);
      }
    }
  });
  std::fill(out + count * heads, out + edges * heads, 0.f);
}

// The largest of x [T, channels] and how many are as large, both [rows, channels].
TOKENNET_EXPORT void tokennet_gather_max(const int64_t* ptr, const int32_t* index, int64_t rows,
                                         const float* x, int64_t stride, int64_t channels,
                                         float* out, float* count, int64_t threads) {
  Maximum maximum{{rows, ptr, index, nullptr}, x, stride, channels, out, count};
  over_rows(ptr, 0, rows, channels, threads, [&](int64_t from, int64_t to) {
    with_width(channels, [&](auto width) {
      over_channels<width, EXTREMES>(channels, [&](auto vectors, int64_t first, int64_t last) {
        max_rows<width, vectors>(maximum, from, to, first, last);
      });
    });
  });
}

// share, out [S, channels] and x, dx [rows, channels], all contiguous; the form is the transpose.
TOKENNET_EXPORT void tokennet_gather_max_backward(const int64_t* ptr, const int32_t* index,
                                                  int64_t rows, const float* share,
                                                  const float* out, const float* x,
                                                  int64_t channels, float* dx, int64_t threads) {
  MaximumGradient gradient{{rows, ptr, index, nullptr}, share, out, x, channels, dx};
  over_rows(ptr, 0, rows, channels, threads, [&](int64_t from, int64_t to) {
    with_width(channels, [&](auto width) {
      over_channels<width, EXTREMES>(channels, [&](auto vectors, int64_t first, int64_t last) {
        max_gradient_rows<width, vectors>(gradient, from, to, first, last);
      });
    });
  });
}

// Weights of scores [edges, heads]; with `grad`, the gradient of scores from weights and theirs.
TOKENNET_EXPORT void tokennet_segment_softmax(const int64_t* ptr, int64_t rows,
                                              const float* scores, const float* grad,
                                              int64_t heads, int64_t edges, float* out,
                                              int64_t threads) {
  Softmax softmax{{rows, ptr, nullptr, nullptr}, heads, scores, grad, out};
  SoftmaxRows run = choose_softmax(heads, grad != nullptr);
  over_rows(ptr, 0, rows, 16 * heads, threads,
            [&](int64_t from, int64_t to) { run(softmax, from, to); });
  std::fill(out + softmax.form.count() * heads, out + edges * heads, 0.f);
}
