// Rows of a table that the entries of a compressed form name, and room for one row's work.
//
// Heads stand side by side with `padded` numbers for each edge: H rounded up to a power of two, so
// that a vector holds all heads of some edges, or some heads of one edge, and no head is split.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "pages.h"
#include "simd.h"

namespace tokennet {

constexpr int EDGES = 64;  // in a block: of 32 and 128 none was faster beyond the noise

// Edges before its use a row is fetched; at 20,000 tokens 24, 48 and none were slower.
constexpr int AHEAD = 12;

// Row e of a block: data + index[e] * stride; its heads are head_stride apart. Of the rows behind
// the block, `known` many from its begin on, those AHEAD are fetched; 0: none.
struct Rows {
  const float* data;
  int64_t stride;
  int64_t head_stride;
  const int32_t* index;
  int64_t known = 0;

  TOKENNET_INLINE const float* at(int e) const { return data + index[e] * stride; }

  TOKENNET_INLINE void fetch(int e, int64_t size) const {
    if (e + AHEAD >= known) return;
    const float* row = at(e + AHEAD);
#pragma GCC unroll 8
    for (int64_t i = 0; i < size; i += 16) __builtin_prefetch(row + i);
  }
};

inline int64_t padded_heads(int64_t heads) {
  int64_t padded = 1;
  while (padded < heads && padded < 16) padded *= 2;
  return heads <= padded ? padded : (heads + 15) / 16 * 16;
}

// The widest vector that the channels are a multiple of.
inline int lanes_of(int64_t channels) {
  int lanes = LANES;
  while (channels % lanes != 0) lanes = lanes > 4 ? lanes / 2 : 1;
  return lanes;
}

// f(std::integral_constant<int, L>) for that vector: a kernel of fixed width.
template <class F>
TOKENNET_INLINE auto with_lanes(int lanes, const F& f) {
#if defined(__AVX512F__)
  if (lanes == 16) return f(std::integral_constant<int, 16>{});
#endif
#if defined(__AVX2__)
  if (lanes == 8) return f(std::integral_constant<int, 8>{});
#endif
  if (lanes == 4) return f(std::integral_constant<int, 4>{});
  return f(std::integral_constant<int, 1>{});
}

// Room for floats, aligned as the vectors are.
class Room {
 public:
  explicit Room(int64_t size)
      : memory_(new float[size + 16]), aligned_(memory_.get()) {
    size_t space = (size + 16) * sizeof(float);
    void* start = memory_.get();
    std::align(64, size * sizeof(float), start, space);
    aligned_ = static_cast<float*>(start);
    in_large_pages(aligned_, size);
  }
  float* get() const { return aligned_; }

 private:
  std::unique_ptr<float[]> memory_;
  float* aligned_;
};

}  // namespace tokennet
