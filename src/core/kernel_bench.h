#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/bench_report.h"

namespace reprise {

struct KernelBenchOptions {
  int32_t n_threads = 0;  // 0: all usable cores; one thread is measured as well
  int32_t n_runs = 5;
};

// Each kernel in the graph node that the engine runs it in, on memory that no cache holds, beside
// ggml's own product where there is one, and its share of what the machine can do: reading memory
// for those that read much, for the others the arithmetic that they compute in, F32 or integers of
// 8 bits. All of that is measured in the same rounds.
// `on_run` is told before every round and may throw to stop.
BenchReport bench_kernels(const KernelBenchOptions& options,
                          const std::function<void(const std::string& what)>& on_run);

}  // namespace reprise
