// Gradients of attention, by chunks of rows: first the rows of a chunk, then its part of columns.
//
// Chunks bound the room for what rows leave to columns, and keep it near. They depend on the
// sizes alone and columns add them up in order: the result has the same bits for any thread count.
#pragma once

#include <vector>

#include "column_gradients.h"
#include "row_gradients.h"
#include "threads.h"

namespace tokennet {

// Bytes between rows and columns: 4 MiB were up to 1.3 times slower, no limit at most 1.1 faster.
constexpr int64_t CHUNK = int64_t{16} << 20;

// The rows from `first` on whose edges fit in a chunk, at least one.
inline int64_t chunk_end(const Attend& call, int64_t first, int64_t edges) {
  const int64_t *ptr = call.ptr, *end = ptr + call.rows + 1;
  return std::max(std::upper_bound(ptr + first, end, ptr[first] + edges) - ptr - 1, first + 1);
}

inline void add_up(const std::vector<float>& parts, int64_t width, float* to) {
  for (size_t i = 0; i < parts.size(); ++i) to[i % width] += parts[i];
}

// Edges that no row reaches: their gradients are 0.
inline void clear_rest(const Attend& call, const AttendGradients& gradients) {
  const int64_t first = call.ptr[call.rows], rest = gradients.edges - first;
  if (gradients.bias) std::fill_n(gradients.bias + first * call.heads, rest * call.heads, 0.f);
  if (gradients.attr)
    std::fill_n(gradients.attr + first * call.features, rest * call.features, 0.f);
}

// Whether every entry of every column was used: it is if places ascend in a column.
inline bool backward(const Attend& call, const AttendGradients& gradients) {
  const bool for_columns = gradients.k || gradients.v;
  const int64_t pair = 2 * padded_heads(call.heads), width = call.heads * call.channels;
  const int64_t cost = call.heads * (call.channels + call.value_channels);
  const int64_t edges = for_columns ? std::max<int64_t>(CHUNK / (pair * 4), 1) : INT64_MAX / 2;
  int64_t largest = 0;
  for (int64_t first = 0, last; first < call.rows; first = last) {
    last = chunk_end(call, first, edges);
    largest = std::max(largest, call.ptr[last] - call.ptr[first]);
  }
  in_large_pages(gradients.q, call.rows * width);
  in_large_pages(gradients.k, gradients.columns * width);
  in_large_pages(gradients.v, gradients.columns * call.heads * call.value_channels);
  Room room(for_columns ? largest * pair : 0);
  std::vector<int64_t> next(gradients.column_ptr, gradients.column_ptr + gradients.columns);
  if (gradients.vector) std::fill_n(gradients.vector, width, 0.f);
  for (int64_t first = 0, last = 0; last < call.rows || first == 0; first = last) {
    if (call.rows > 0) last = chunk_end(call, first, edges);
    Pairs pairs{for_columns ? room.get() : nullptr, call.ptr[first]};
    std::vector<float> parts(gradients.vector ? count_blocks(call.ptr, first, last) * width : 0);
    over_row_blocks(call.ptr, first, last, 2 * cost, call.threads,
                    [&](int64_t from, int64_t to, int64_t block) {
                      float* part = gradients.vector ? parts.data() + block * width : nullptr;
                      RowGradients(call, gradients, pairs).rows(from, to, part);
                    });
    if (gradients.vector) add_up(parts, width, gradients.vector);
    if (for_columns)
      over_rows(gradients.column_ptr, 0, gradients.columns, cost, call.threads,
                [&](int64_t from, int64_t to) {
                  ColumnGradients(call, gradients, pairs, call.ptr[last])
                      .columns(from, to, next.data(), first == 0);
                });
    if (call.rows == 0) break;
  }
  clear_rest(call, gradients);
  for (int64_t i = 0; for_columns && i < gradients.columns; ++i)
    if (next[i] != gradients.column_ptr[i + 1]) return false;
  return true;
}

}  // namespace tokennet
