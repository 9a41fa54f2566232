#include "cli/bench.h"

#include "cli/bench_control.h"
#include "cli/bench_dllm.h"
#include "cli/bench_kv.h"
#include "cli/bench_machine.h"
#include "cli/bench_threads.h"
#include "cli/bench_weights.h"

namespace reprise {

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* bench = app.add_subcommand("bench", "measure speed, with peers, bounds and controls");
  bench->require_subcommand(1);
  add_bench_control(*bench, exit_code);
  add_bench_dllm(*bench, exit_code);
  add_bench_kv(*bench, exit_code);
  add_bench_kernels(*bench, exit_code);
  add_bench_machine(*bench, exit_code);
  add_bench_threads(*bench, exit_code);
  add_bench_weights(*bench, exit_code);
}

}  // namespace reprise
