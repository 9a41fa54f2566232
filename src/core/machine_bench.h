#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/bench_report.h"

namespace reprise {

struct MachineBenchOptions {
  int32_t n_threads = 0;  // the most that are no oversubscription; 0: all usable cores
  int32_t n_runs = 5;
};

// 1, 2, 4, ... and n_threads; and twice as many, as oversubscription. Not above what a
// Backend takes.
std::vector<int32_t> machine_thread_counts(int32_t n_threads);

// How fast memory is read and how much arithmetic is done by each number of threads, and the
// roofline that follows. Thread counts take turns, each with a pool that ends with its turn.
// `on_run` is told before every turn and may throw to stop. Throws Error on bad options.
BenchReport bench_machine(const MachineBenchOptions& options,
                          const std::function<void(const std::string& what)>& on_run);

}  // namespace reprise
