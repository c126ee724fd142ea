// Work over the rows of a compressed form, handed out in blocks of about equal cost.
//
// Threads live as long as the call: nothing spins, nothing survives a fork. A row is computed by
// one thread in one order, so the number of threads changes no bit of a result.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace tokennet {

constexpr int64_t BLOCK = 2048;  // rows and edges in a block: about 25 microseconds
constexpr int64_t WORTH_A_THREAD = 1 << 20;  // multiply-adds: 0.1 ms, several times its start

// work(block) for each block; `cost` is the number of multiply-adds of them all.
template <class Work>
void in_blocks(int64_t blocks, int64_t cost, int64_t threads, const Work& work) {
  std::atomic<int64_t> next{0};
  auto run = [&] {
    for (int64_t block; (block = next.fetch_add(1)) < blocks;) work(block);
  };
  int64_t useful = std::min({threads, blocks, cost / WORTH_A_THREAD});
  std::vector<std::thread> others;
  try {
    for (int64_t i = 1; i < useful; ++i) others.emplace_back(run);
  } catch (const std::system_error&) {
    // no more threads to be had: those that there are do the work
  }
  run();
  for (std::thread& other : others) other.join();
}

// The first row of a block: rows and edges before it are at least `block` times BLOCK.
inline int64_t first_row(const int64_t* ptr, int64_t from, int64_t to, int64_t block) {
  int64_t low = from, high = to;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (ptr[middle] - ptr[from] + middle - from < block * BLOCK) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

inline int64_t count_blocks(const int64_t* ptr, int64_t from, int64_t to) {
  return (ptr[to] - ptr[from] + to - from + BLOCK - 1) / BLOCK;
}

// work(first, last, block) over the rows from..to - 1; an edge costs `cost` multiply-adds.
template <class Work>
void over_row_blocks(const int64_t* ptr, int64_t from, int64_t to, int64_t cost, int64_t threads,
               const Work& work) {
  int64_t size = ptr[to] - ptr[from] + to - from, blocks = count_blocks(ptr, from, to);
  in_blocks(blocks, size * cost, threads, [&](int64_t block) {
    int64_t first = first_row(ptr, from, to, block);
    int64_t last = block + 1 == blocks ? to : first_row(ptr, from, to, block + 1);
    work(first, last, block);
  });
}

template <class Work>
void over_rows(const int64_t* ptr, int64_t from, int64_t to, int64_t cost, int64_t threads,
               const Work& work) {
  over_row_blocks(ptr, from, to, cost, threads,
                  [&](int64_t first, int64_t last, int64_t) { work(first, last); });
}

}  // namespace tokennet
