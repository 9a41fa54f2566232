// The cases of `reprise bench kernels` under Google Benchmark: one kernel at a time, with filters
// and counters of its own choice. Shares of a bound are the other program's business: they compare
// what ran in the same round.

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "core/kernel_cases.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const reprise::Backend backend(0);
  const std::vector<std::unique_ptr<reprise::KernelCase>> cases =
      reprise::all_kernel_cases(backend);
#ifndef __clang_analyzer__  // it takes what the registry owns for a leak
  for (const auto& kernel : cases) {
    const reprise::KernelWork& work = kernel->work();
    benchmark::RegisterBenchmark(work.name.c_str(), [&](benchmark::State& state) {
      for (auto _ : state) state.SetIterationTime(kernel->run_s());
      using benchmark::Counter;
      const auto rate = [](double amount) {
        return Counter(amount, Counter::kIsIterationInvariantRate);
      };
      state.counters["bytes/s"] = rate(work.bytes);
      state.counters["ops/s"] = rate(work.ops);
    })->UseManualTime();
  }
#endif
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
