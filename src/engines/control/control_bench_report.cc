#include "engines/control/control_bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace reprise {
namespace {

using Kind = BenchTarget::Kind;

BenchSample once(double value) { return {1, value, value, value}; }

std::vector<double> divided(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] / b[i]);
  return out;
}

BenchSample chunk_ms(const std::vector<double>& call_s, int32_t n_robots) {
  std::vector<double> ms;
  ms.reserve(call_s.size());
  for (const double s : call_s) ms.push_back(1e3 * s / n_robots);
  return bench_sample(ms);
}

std::vector<BenchColumn> columns() {
  return {{.key = "chunk_ms",
           .title = "ms/chunk",
           .format = BenchFormat::kNumber,
           .plot = BenchColumn::Plot::kBars,
           .is_less_better = true,
           .caption = "Time of one call over the robots in it."},
          {.key = "bound_share", .title = "of F32 bound", .format = BenchFormat::kShare},
          {.key = "evaluations", .title = "evals/chunk", .format = BenchFormat::kRate},
          {.key = "gflop", .title = "GFLOP/chunk", .format = BenchFormat::kNumber},
          {.key = "action_rmse_px",
           .title = "error px",
           .format = BenchFormat::kNumber,
           .plot = BenchColumn::Plot::kBars,
           .is_less_better = true,
           .caption = "Executed actions against everything computed in F32, same noise."},
          {.key = "cache_bytes", .title = "cache/robot", .format = BenchFormat::kBytes},
          {.key = "weight_bytes", .title = "weights", .format = BenchFormat::kBytes},
          {.key = "resident_bytes", .title = "resident", .format = BenchFormat::kBytes}};
}

std::vector<std::string> notes(bool has_peer) {
  return {
      "All take turns, one call a round; a robot is computed by one thread. Weights are F32 "
      "where no type is named. An evaluation is as many branches as a whole forward has.",
      "share_of_eval_count: the measured speed-up over what the number of evaluations "
      "promises, of the method that loses most. Ratios of times are of calls for one robot, "
      "and left out where there were none.",
      "Two runs of everything with different noise differ by error_px_between_noises.",
      has_peer ? "PyTorch runs the same weights in eager inference mode, with diffusers' scheduler "
                 "and with its arithmetic alone; its fastest setting counts. A setting that took "
                 "more than 4 times the fastest's time in the first round is not run again."
               : "No PyTorch peer: 'python3 -m venv peer && peer/bin/pip install torch diffusers "
                 "numpy', then --torch peer/bin/python."};
}

// Writes one report out of what was measured.
class ReportWriter {
 public:
  ReportWriter(const ControlMeasurements& measured, PolicyBenchPeer* peer, BenchReport& report)
      : measured_(measured), peer_(peer), report_(report) {}

  void write_rows() {
    for (size_t i_batch = 0; i_batch < measured_.batches.size(); ++i_batch) {
      const int32_t n_robots = measured_.batches[i_batch];
      for (const ControlBenchSide& side : measured_.sides) {
        BenchRow& row = report_.rows.emplace_back(
            BenchRow{side.subject,
                     n_robots,
                     {{"chunk_ms", chunk_ms(side.call_s[i_batch], n_robots)},
                      {"bound_share", bench_sample(bound_shares(side, i_batch))},
                      {"evaluations", once(side.evaluations)},
                      {"gflop", once(1e-9 * side.flops)},
                      {"action_rmse_px", once(side.action_rmse)}}});
        if (i_batch > 0) continue;
        row.values.push_back({"cache_bytes", once(static_cast<double>(side.cache_bytes))});
        row.values.push_back({"weight_bytes", once(static_cast<double>(side.weight_bytes))});
      }
      if (peer_ != nullptr) peer_->write_rows(i_batch, report_);
    }
  }

  void write_ratios() {
    if (measured_.forward_error) {
      ratio("forward_max_abs_error_vs_pytorch", once(*measured_.forward_error),
            {{Kind::kAtMost, 1e-5}});
    }
    ratio("schedule_ms", bench_sample(measured_.schedule_ms), {{Kind::kAtMost, 10}});
    const auto one_robot = std::ranges::find(measured_.batches, 1);
    if (one_robot != measured_.batches.end())
      write_ratios_of_times(static_cast<size_t>(one_robot - measured_.batches.begin()));
    ratio("flops_full_over_bac", once(full().flops / of(kBenchBac5).flops), {{Kind::kAtLeast, 5}});
    ratio("error_px_between_noises", once(measured_.noise_rmse));
  }

 private:
  // The targets are of calls for one robot, which batch `i_one` is.
  void write_ratios_of_times(size_t i_one) {
    if (peer_ != nullptr) {
      ratio("full_vs_pytorch_cpu", bench_sample(divided(peer_->best(i_one), full().call_s[i_one])),
            {{Kind::kAtLeast, 1.8}});
    }
    ratio("full_share_of_flop_bound", bench_sample(bound_shares(full(), i_one)),
          {{Kind::kAtLeast, 0.5}});
    const auto speedup = [&](const ControlBenchSide& side) {
      return bench_sample(divided(full().call_s[i_one], side.call_s[i_one]));
    };
    ratio("bac_s10_n5_vs_full_wall", speedup(of(kBenchBac5)), {{Kind::kAtLeast, 4}});
    ratio("bac_s10_n3_vs_full_wall", speedup(of(kBenchBac3)), {{Kind::kAtLeast, 5}});
    std::optional<BenchSample> smallest;
    std::vector<BenchRatio> shares;
    for (const ControlBenchSide& side : measured_.sides) {
      if (side.evaluations >= full().evaluations) continue;
      BenchSample share = speedup(side);
      for (double* value : {&share.median, &share.low, &share.high})
        *value *= side.evaluations / full().evaluations;
      if (!smallest || share.median < smallest->median) smallest = share;
      shares.push_back({fmt::format("share_of_eval_count {}", side.subject), share});
    }
    ratio("share_of_eval_count", *smallest, {{Kind::kAtLeast, 0.85}});
    std::ranges::copy(shares, std::back_inserter(report_.ratios));
  }

  // Per round: the time that its multiply-adds would take at the measured F32 peak of the threads
  // that it uses, over the time that it took.
  std::vector<double> bound_shares(const ControlBenchSide& side, size_t i_batch) const {
    const int32_t n_robots = measured_.batches[i_batch];
    const int32_t n_used = std::min(measured_.n_threads, n_robots);  // a thread each
    std::vector<double> shares;
    for (size_t i = 0; i < measured_.peaks.size(); ++i) {
      const double peak = n_used == 1 ? measured_.one_thread_peaks[i]
                                      : measured_.peaks[i] * n_used / measured_.n_threads;
      shares.push_back(side.flops * n_robots / peak / side.call_s[i_batch][i]);
    }
    return shares;
  }

  const ControlBenchSide& full() const { return measured_.sides.front(); }
  const ControlBenchSide& of(std::string_view branch) const {
    return *std::ranges::find_if(measured_.sides, [&](const ControlBenchSide& side) {
      return side.subject.ends_with(branch);
    });
  }

  void ratio(std::string key, const BenchSample& value, std::optional<BenchTarget> target = {}) {
    report_.ratios.push_back({std::move(key), value, target});
  }

  const ControlMeasurements& measured_;
  PolicyBenchPeer* peer_;
  BenchReport& report_;
};

}  // namespace

BenchReport control_bench_report(const ControlMeasurements& measured, PolicyBenchPeer* peer) {
  BenchReport report;
  report.bench = "control";
  report.title = "Robot control";
  report.setting = "robots";
  report.columns = columns();
  report.highlights = {"ddpm full, f32", fmt::format("ddpm {}", kBenchBac5)};
  ReportWriter writer(measured, peer, report);
  writer.write_rows();
  writer.write_ratios();
  report.notes = notes(peer != nullptr);
  return report;
}

}  // namespace reprise
