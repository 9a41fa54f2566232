#include "cli/bench_machine.h"

#include <spdlog/spdlog.h>

#include <functional>
#include <memory>

#include "cli/bench_report_flags.h"
#include "cli/compute_flags.h"
#include "cli/interrupt.h"
#include "core/kernel_bench.h"
#include "core/machine_bench.h"

namespace reprise {
namespace {

struct MachineFlags {
  int32_t n_threads = 0;
  int32_t n_runs = 5;
  bool is_quick = false;
  ReportFlags report;
};

using Bench = std::function<BenchReport(const MachineFlags& flags,
                                        const std::function<void(const std::string&)>& on_run)>;

void add_verb(CLI::App* verb, const Bench& bench, int& exit_code) {
  auto flags = std::make_shared<MachineFlags>();
  add_threads_flag(*verb, flags->n_threads);
  CLI::Option* runs = verb->add_option("--runs", flags->n_runs, "rounds")
                          ->check(CLI::Range(1, 1000))
                          ->capture_default_str();
  verb->add_flag("--quick", flags->is_quick, "two rounds");
  add_report_flags(*verb, flags->report);
  verb->callback([flags, runs, bench, &exit_code] {
    if (flags->is_quick && runs->count() == 0) flags->n_runs = 2;
    check_folders(flags->report);
    flags->n_threads = started_threads(flags->n_threads);
    write_report(bench(*flags,
                       [](const std::string& what) {
                         throw_if_interrupted();
                         spdlog::debug("{}", what);
                       }),
                 flags->report);
    exit_code = 0;
  });
}

}  // namespace

void add_bench_machine(CLI::App& bench, int& exit_code) {
  CLI::App* verb = bench.add_subcommand(
      "machine", "how fast memory is read and how much is computed, by number of threads");
  verb->footer(
      "Examples:\n"
      "  reprise bench machine --html machine.html\n"
      "  reprise bench machine --threads 1 --quick");
  add_verb(
      verb,
      [](const MachineFlags& flags, const auto& on_run) {
        return bench_machine({flags.n_threads, flags.n_runs}, on_run);
      },
      exit_code);
}

void add_bench_kernels(CLI::App& bench, int& exit_code) {
  CLI::App* verb = bench.add_subcommand(
      "kernels", "what this machine can do, and each kernel's share of it, beside ggml's");
  verb->footer(
      "Examples:\n"
      "  reprise bench kernels --json kernels.json\n"
      "  reprise bench kernels --threads 1 --quick");
  add_verb(
      verb,
      [](const MachineFlags& flags, const auto& on_run) {
        return bench_kernels({flags.n_threads, flags.n_runs}, on_run);
      },
      exit_code);
}

}  // namespace reprise
