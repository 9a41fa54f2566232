#include "cli/bench_control.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <memory>

#include "cli/bench_report_flags.h"
#include "cli/compute_flags.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "core/program_place.h"
#include "engines/control/control_bench.h"
#include "engines/control/control_soak.h"

namespace reprise {
namespace {

struct ControlBenchFlags {
  ControlBenchOptions bench;
  bool is_quick = false;
  double soak_s = 0;  // 0: no soak
  ReportFlags report;
};

constexpr double kMostSoak = 7 * 24 * 3600;

// Seconds of "90", "90s", "10m", "10min" or "2h"; negative for anything else.
double parse_seconds(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return -1;
  const std::string_view unit(end, text.data() + text.size() - end);
  if (unit == "m" || unit == "min") return 60 * value;
  if (unit == "h") return 3600 * value;
  return unit.empty() || unit == "s" ? value : -1;
}

std::string soak_complaint(const std::string& text) {
  const double seconds = parse_seconds(text);
  if (seconds >= 1 && seconds <= kMostSoak) return "";
  return fmt::format("'{}'; expected a time from 1 s to 7 days: 20s, 10m, 2h", text);
}

int run_soak(const ControlBenchFlags& flags) {
  const ControlSoakOptions options{
      .model = flags.bench.model, .n_threads = flags.bench.n_threads, .seconds = flags.soak_s};
  const auto ticks = [&](double seconds) { return std::llround(seconds * options.rate_hz); };
  Progress progress("driving by the clock", "ticks", ticks(3 * flags.soak_s));
  const BenchReport report =
      soak_control(options, {.is_cancelled = was_interrupted,
                             .on_slice = [&](double seconds) { progress.update(ticks(seconds)); }});
  if (!was_interrupted()) progress.finish();
  if (!report.rows.empty()) write_report(report, flags.report);
  throw_if_interrupted();  // an interrupted soak has its report, too
  return 0;
}

int run_control_bench(ControlBenchFlags flags) {
  check_folders(flags.report);
  flags.bench.n_threads = started_threads(flags.bench.n_threads);
  if (flags.soak_s > 0) return run_soak(flags);
  if (!flags.bench.python.empty())
    flags.bench.peer_script = program_place().source / "tools" / "policy_peer.py";
  write_report(bench_control(flags.bench, throw_if_interrupted), flags.report);
  return 0;
}

}  // namespace

void add_bench_control(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<ControlBenchFlags>();
  CLI::App* verb = bench.add_subcommand(
      "control", "a robot policy: BAC and its controls, weight types, PyTorch; or in real time");
  verb->add_option("model", flags->bench.model,
                   "name of a robot policy ('reprise list') or path, calibrated")
      ->capture_default_str();
  CLI::Option* runs = verb->add_option("--runs", flags->bench.n_rounds, "rounds")
                          ->check(CLI::Range(1, 1000))
                          ->capture_default_str();
  CLI::Option* batches = verb->add_option("--robots", flags->bench.batches, "robots of one call")
                             ->delimiter(',')
                             ->check(CLI::Range(1, 4096))
                             ->capture_default_str();
  CLI::Option* observations = verb->add_option("--observations", flags->bench.n_observations,
                                               "single calls that action errors are taken on")
                                  ->check(CLI::Range(1, 1 << 16))
                                  ->capture_default_str();
  CLI::Option* recorded =
      verb->add_option(
              "--observations-file", flags->bench.observations_file,
              "take them from a recording, as 'reprise calibrate --observations' does, and "
              "not from Push-T: for a policy of any environment")
          ->type_name("FILE");
  CLI::Option* torch =
      verb->add_option("--torch", flags->bench.python,
                       "also run the policy in PyTorch, with this Python that has torch, diffusers "
                       "and numpy")
          ->type_name("PYTHON");
  CLI::Option* quick = verb->add_flag(
      "--quick", flags->is_quick, "3 rounds of 1 and 8 robots, 8 observations: under two minutes");
  verb->add_option_function<std::string>(
          "--soak", [flags](const std::string& text) { flags->soak_s = parse_seconds(text); },
          "instead: drive Push-T by the clock at 10 Hz for this long with no policy, with "
          "everything computed and with BAC, in turns: 20s, 10m, 2h each")
      ->check(CLI::Validator(soak_complaint, "TIME"))
      ->type_name("TIME")
      ->excludes(runs)
      ->excludes(batches)
      ->excludes(observations)
      ->excludes(recorded)
      ->excludes(torch)
      ->excludes(quick);
  add_threads_flag(*verb, flags->bench.n_threads);
  add_report_flags(*verb, flags->report);
  verb->footer(
      "Examples:\n"
      "  reprise bench control --quick\n"
      "  reprise bench control pusht-demo --soak 20s");
  verb->callback([=, &exit_code] {
    if (flags->is_quick) {
      if (runs->count() == 0) flags->bench.n_rounds = 3;
      if (batches->count() == 0) flags->bench.batches = {1, 8};
      if (observations->count() == 0) flags->bench.n_observations = 8;
    }
    exit_code = run_control_bench(*flags);
  });
}

}  // namespace reprise
