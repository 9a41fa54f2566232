#include "core/machine_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "core/arithmetic_peak.h"
#include "core/read_bandwidth.h"

namespace reprise {
namespace {

// [runs] of one number of threads.
struct Runs {
  int32_t n_threads = 0;
  std::vector<double> bytes_s;
  std::array<std::vector<double>, std::size(kAllArithmetic)> ops_s;
};

void measure_once(Runs& runs, ReadBandwidth& bandwidth) {
  const Backend backend(runs.n_threads);
  runs.bytes_s.push_back(bandwidth.measure(backend));
  for (size_t i = 0; i < std::size(kAllArithmetic); ++i)
    runs.ops_s[i].push_back(ArithmeticPeak(backend, kAllArithmetic[i]).measure());
}

BenchSample scaled(const std::vector<double>& values, double factor) {
  std::vector<double> out;
  out.reserve(values.size());
  for (const double value : values) out.push_back(value * factor);
  return bench_sample(out);
}

// Run by run.
std::vector<double> quotients(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] / b[i]);
  return out;
}

void add_to_report(const Runs& runs, BenchReport& report) {
  report.rows.push_back({"read memory", runs.n_threads, {{"gb_s", scaled(runs.bytes_s, 1e-9)}}});
  Roofline roofline{runs.n_threads, bench_sample(runs.bytes_s).median, {}};
  for (size_t i = 0; i < std::size(kAllArithmetic); ++i) {
    const char* name = arithmetic_name(kAllArithmetic[i]);
    report.rows.push_back(
        {name,
         runs.n_threads,
         {{"gop_s", scaled(runs.ops_s[i], 1e-9)},
          {"ridge_ops_a_byte", bench_sample(quotients(runs.ops_s[i], runs.bytes_s))}}});
    roofline.ceilings.push_back({name, bench_sample(runs.ops_s[i]).median});
  }
  report.rooflines.push_back(std::move(roofline));
}

}  // namespace

std::vector<int32_t> machine_thread_counts(int32_t n_threads) {
  std::vector<int32_t> counts;
  for (int32_t n = 1; n < n_threads; n *= 2) counts.push_back(n);
  counts.push_back(n_threads);
  if (2 * n_threads <= Backend::kMostThreads) counts.push_back(2 * n_threads);
  return counts;
}

BenchReport bench_machine(const MachineBenchOptions& options,
                          const std::function<void(const std::string& what)>& on_run) {
  std::vector<Runs> all;
  ReadBandwidth bandwidth;
  for (const int32_t n : machine_thread_counts(Backend(options.n_threads).n_threads()))
    all.emplace_back().n_threads = n;
  for (int32_t run = 0; run < options.n_runs; ++run) {
    for (Runs& runs : all) {
      on_run(fmt::format("{} threads, round {} of {}", runs.n_threads, run + 1, options.n_runs));
      measure_once(runs, bandwidth);
    }
  }
  BenchReport report;
  report.bench = "machine";
  report.title = "What the machine can do";
  report.machine = this_machine();
  report.machine.read_buffer_bytes = bandwidth.n_bytes();
  report.setting = "threads";
  report.columns = {{"gb_s", "GB/s read", BenchFormat::kRate, BenchColumn::Plot::kLine},
                    {"gop_s", "10^9 operations/s", BenchFormat::kRate, BenchColumn::Plot::kLine},
                    {"ridge_ops_a_byte", "ridge, operations a byte", BenchFormat::kRate}};
  for (const Runs& runs : all) add_to_report(runs, report);
  report.highlights = {"read memory"};
  for (const Arithmetic arithmetic : kAllArithmetic)
    report.highlights.emplace_back(arithmetic_name(arithmetic));
  report.notes = {
      fmt::format(
          "Memory is read {}, in wide loads and asked for ahead as the kernels do. "
          "Arithmetic: multiply-adds, counting two operations each, on numbers in the first "
          "cache: a product of F32 matrices in registers; F16 values, each converted to "
          "F32 and used once; integer dot products of bytes.",
          bandwidth.description()),
      "The ridge is where both limits meet: what does fewer operations for each byte it reads is "
      "bound by memory.",
      "Each value is the best of three passes or more in a round; thread counts take turns. Twice "
      "the cores are measured once a round as oversubscription."};
  return report;
}

}  // namespace reprise
