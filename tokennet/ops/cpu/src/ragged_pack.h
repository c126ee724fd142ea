// Rows of a sample in the order in which products of small matrices read them.
//
// Packed in groups of G rows: number c of row r stands at (r / G) G channels + c G + r % G, so that
// numbers of the same channel lie side by side; rows that fill up the last group are 0.
#pragma once

#include "simd.h"

namespace tokennet::ragged {

struct Square {
  Float<4> row[4];
};

TOKENNET_INLINE Square transposed(const Square& a) {
  using Low = std::integer_sequence<int, 0, 4, 1, 5>;
  using High = std::integer_sequence<int, 2, 6, 3, 7>;
  using First = std::integer_sequence<int, 0, 1, 4, 5>;
  using Second = std::integer_sequence<int, 2, 3, 6, 7>;
  Float<4> a_low = shuffle<4>(a.row[0], a.row[1], Low{});
  Float<4> b_low = shuffle<4>(a.row[2], a.row[3], Low{});
  Float<4> a_high = shuffle<4>(a.row[0], a.row[1], High{});
  Float<4> b_high = shuffle<4>(a.row[2], a.row[3], High{});
  return {{shuffle<4>(a_low, b_low, First{}), shuffle<4>(a_low, b_low, Second{}),
           shuffle<4>(a_high, b_high, First{}), shuffle<4>(a_high, b_high, Second{})}};
}

// Packs scale times the rows, which lie `stride` apart.
template <int G>
void pack(const float* from, int64_t stride, int64_t rows, int64_t channels, float scale,
          float* to) {
  for (int64_t group = 0; group < rows; group += G, to += G * channels) {
    for (int64_t r = 0; r < G; r += 4) {
      int64_t left = rows - group - r;
      const float* row = from + (group + r) * stride;
      for (int64_t c = 0; c < channels; c += 4) {
        int64_t count = channels - c;
        Square square;
        for (int i = 0; i < 4; ++i) {
          if (i >= left) {
            square.row[i] = Float<4>{};
          } else if (count >= 4) {
            square.row[i] = load<4>(row + i * stride + c) * scale;
          } else {
            square.row[i] = load_part<4>(row + i * stride + c, static_cast<int>(count)) * scale;
          }
        }
        square = transposed(square);
        for (int i = 0; i < 4 && i < count; ++i) store<4>(to + (c + i) * G + r, square.row[i]);
      }
    }
  }
}

// The first `rows` of one group of G, times `scale`, to rows `stride` apart.
template <int G>
void unpack(const float* from, int64_t stride, int64_t rows, int64_t channels, float scale,
            float* to) {
  for (int64_t r = 0; r < rows; r += 4) {
    for (int64_t c = 0; c < channels; c += 4) {
      int64_t count = channels - c;
      Square square;
      for (int i = 0; i < 4; ++i)
        square.row[i] = i < count ? load<4>(from + (c + i) * G + r) * scale : Float<4>{};
      square = transposed(square);
      for (int i = 0; i < 4 && r + i < rows; ++i) {
        float* row = to + (r + i) * stride + c;
        if (count >= 4) {
          store<4>(row, square.row[i]);
        } else {
          store_part<4>(row, square.row[i], static_cast<int>(count));
        }
      }
    }
  }
}

}  // namespace tokennet::ragged
