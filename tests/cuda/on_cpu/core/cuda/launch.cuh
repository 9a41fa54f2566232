#pragma once

#include <cuda_runtime.h>

#include <barrier>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

namespace reprise {

inline std::vector<float>& shared_memory() {
  static std::vector<float> values;
  return values;
}

inline float* shared_values() { return shared_memory().data(); }

// In place of src/core/cuda/launch.cuh: runs a kernel on the CPU.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            Arguments... arguments) {
  shared_memory().assign(shared_bytes / sizeof(float), NAN);
  const unsigned n_threads = block.x * block.y;
  std::barrier<> block_barrier(n_threads);
  std::barrier<> between_blocks(n_threads);
  std::vector<std::unique_ptr<test::Warp>> warps;
  for (unsigned i = 0; i < n_threads; i += test::kLanes) {
    warps.push_back(std::make_unique<test::Warp>());
  }
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < n_threads; ++i) {
    threads.emplace_back([&, i] {
      test::CudaThread& self = test::this_thread();
      self.thread = dim3(i % block.x, i / block.x);
      self.block_size = block;
      self.grid = grid;
      self.block_barrier = &block_barrier;
      self.warp = warps[i / test::kLanes].get();
      for (unsigned y = 0; y < grid.y; ++y) {
        for (unsigned x = 0; x < grid.x; ++x) {
          self.block = dim3(x, y);
          kernel(arguments...);
          between_blocks.arrive_and_wait();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace reprise
