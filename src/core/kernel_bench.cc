#include "core/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <vector>

#include "core/arithmetic_peak.h"
#include "core/kernel_cases.h"
#include "core/read_bandwidth.h"

namespace reprise {
namespace {

using Runs = std::vector<double>;

Runs rates(const Runs& seconds, double amount) {
  Runs out;
  out.reserve(seconds.size());
  for (const double s : seconds) out.push_back(amount / s);
  return out;
}

// Run by run: both stood in the same round.
Runs quotients(const Runs& a, const Runs& b) {
  Runs out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] / b[i]);
  return out;
}

BenchSample billions(Runs runs) {
  for (double& value : runs) value *= 1e-9;
  return bench_sample(runs);
}

// Everything that one thread count measured, by round.
struct Measured {
  int32_t n_threads = 0;
  Runs bytes_s;                                         // reading memory
  std::array<Runs, std::size(kAllArithmetic)> peaks_s;  // operations
  std::vector<KernelWork> works;
  std::vector<Runs> seconds;  // [works]

  const Runs& bound_of(const KernelWork& work) const {
    switch (work.bound) {
      case KernelWork::Bound::kReading:
        return bytes_s;
      case KernelWork::Bound::kF32:
        return peaks_s[static_cast<size_t>(Arithmetic::kF32)];
      case KernelWork::Bound::kInt8:
        break;
    }
    return peaks_s[static_cast<size_t>(Arithmetic::kInt8)];
  }
};

Measured measure(const Backend& backend, ReadBandwidth& bandwidth, int32_t n_runs,
                 const std::function<void(const std::string&)>& on_run) {
  on_run(fmt::format("{} threads, preparing", backend.n_threads()));
  const std::vector<std::unique_ptr<KernelCase>> cases = all_kernel_cases(backend);
  std::vector<std::unique_ptr<ArithmeticPeak>> peaks;
  for (const Arithmetic arithmetic : kAllArithmetic)
    peaks.push_back(std::make_unique<ArithmeticPeak>(backend, arithmetic));
  Measured out;
  out.n_threads = backend.n_threads();
  out.works.reserve(cases.size());
  for (const auto& kernel : cases) out.works.push_back(kernel->work());
  out.seconds.resize(cases.size());
  for (int32_t run = 0; run <= n_runs; ++run) {
    on_run(fmt::format("{} threads, round {} of {}", backend.n_threads(), run, n_runs));
    const auto keep = [&](Runs& runs, double value) {
      if (run > 0) runs.push_back(value);  // the first round warms up
    };
    keep(out.bytes_s, bandwidth.measure(backend));
    for (size_t i = 0; i < peaks.size(); ++i) keep(out.peaks_s[i], peaks[i]->measure());
    for (size_t i = 0; i < cases.size(); ++i) keep(out.seconds[i], cases[i]->run_s());
  }
  return out;
}

void add_rows(const Measured& at, BenchReport& report) {
  report.rows.push_back({"read memory", at.n_threads, {{"gb_s", billions(at.bytes_s)}}});
  for (size_t i = 0; i < std::size(kAllArithmetic); ++i) {
    report.rows.push_back(
        {arithmetic_name(kAllArithmetic[i]), at.n_threads, {{"gop_s", billions(at.peaks_s[i])}}});
  }
  for (size_t i = 0; i < at.works.size(); ++i) {
    const KernelWork& work = at.works[i];
    const bool is_read = work.bound == KernelWork::Bound::kReading;
    const Runs speed = rates(at.seconds[i], is_read ? work.bytes : work.ops);
    report.rows.push_back(
        {work.name,
         at.n_threads,
         {{is_read ? "gb_s" : "gop_s", billions(speed)},
          {"share_of_bound", bench_sample(quotients(speed, at.bound_of(work)))}}});
  }
}

void add_roofline(const Measured& at, BenchReport& report) {
  Roofline roofline{at.n_threads, bench_sample(at.bytes_s).median, {}};
  for (size_t i = 0; i < std::size(kAllArithmetic); ++i) {
    roofline.ceilings.push_back(
        {arithmetic_name(kAllArithmetic[i]), bench_sample(at.peaks_s[i]).median});
  }
  for (size_t i = 0; i < at.works.size(); ++i) {
    const KernelWork& work = at.works[i];
    roofline.points.push_back({work.name, work.ops / work.bytes,
                               work.ops / bench_sample(at.seconds[i]).median,
                               work.is_ours ? 1 : 0});
  }
  report.rooflines.push_back(std::move(roofline));
}

// Pairs of an entry and a KV head that decode attention reads in a second, over what reading F16
// entries would allow: for each cache type, and for the best.
void add_ratios(const Measured& at, BenchReport& report) {
  const std::string key = "attention_kernel_entries_per_s_vs_f16_bound";
  std::vector<BenchRatio> by_type;
  for (size_t i = 0; i < at.works.size(); ++i) {
    const KernelWork& work = at.works[i];
    if (work.cache_type.empty()) continue;
    const Runs pairs = quotients(rates(at.seconds[i], work.f16_cache_bytes), at.bytes_s);
    by_type.push_back({key + "_" + work.cache_type, bench_sample(pairs)});
  }
  const auto best = std::ranges::max_element(
      by_type, {}, [](const BenchRatio& ratio) { return ratio.value.median; });
  report.ratios = {{key, best->value, BenchTarget{BenchTarget::Kind::kAtLeast, 0.5}}};
  report.ratios.insert(report.ratios.end(), by_type.begin(), by_type.end());
}

}  // namespace

BenchReport bench_kernels(const KernelBenchOptions& options,
                          const std::function<void(const std::string& what)>& on_run) {
  BenchReport report;
  report.bench = "kernels";
  report.title = "Kernels and what the machine can do";
  report.machine = this_machine();
  report.setting = "threads";
  report.columns = {{"gb_s", "GB/s read", BenchFormat::kRate, BenchColumn::Plot::kBars},
                    {"gop_s", "10^9 operations/s", BenchFormat::kRate, BenchColumn::Plot::kBars},
                    {"share_of_bound", "share of bound", BenchFormat::kShare}};
  report.facts = kernel_case_facts();
  ReadBandwidth bandwidth;
  report.machine.read_buffer_bytes = bandwidth.n_bytes();
  report.notes = {
      fmt::format("The bound is what the same threads reach in the same rounds: for what counts in "
                  "GB/s the reading of memory {}; for the rest multiply-adds in the first cache, "
                  "integer ones of 8 bits for integer products and for ggml's products of "
                  "quantised weights, else F32.",
                  bandwidth.description()),
      "attention_kernel_entries_per_s_vs_f16_bound: (entry, KV head) pairs a second of the best "
      "cache type, on all threads, over measured bandwidth / the bytes of an F16 pair; behind it, "
      "each type. `bench kv` tells the same of whole tokens "
      "(attention_entries_per_s_vs_f16_bound)."};
  const Backend all(options.n_threads);
  if (all.n_threads() > 1) {
    const Measured one = measure(Backend(1), bandwidth, options.n_runs, on_run);
    add_rows(one, report);
    add_roofline(one, report);
  }
  const Measured at = measure(all, bandwidth, options.n_runs, on_run);
  add_rows(at, report);
  add_roofline(at, report);
  add_ratios(at, report);
  return report;
}

}  // namespace reprise
