#include "engines/control/control_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

#include "core/arithmetic_peak.h"
#include "core/error.h"
#include "core/model_folders.h"
#include "core/resident_memory.h"
#include "core/stopwatch.h"
#include "engines/control/chosen_branch.h"
#include "engines/control/policy_bench_peer.h"
#include "engines/control/pusht_environment.h"
#include "engines/control/pusht_eval.h"
#include "engines/control/recorded_observations.h"

namespace reprise {
namespace {

using Kind = BenchTarget::Kind;
using Model = std::shared_ptr<const PolicyTransformerModel>;

constexpr const char* kFull = "full";
constexpr const char* kBac5 = "bac:updates=10,bubbling=5";
constexpr const char* kBac3 = "bac:updates=10,bubbling=3";
// Of the episodes that observations come from; no evaluation and no calibration has these.

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

// One way of making chunks.
struct Contestant {
  std::string subject;
  Model model;
  std::unique_ptr<DiffusionPolicy> policy;
  std::vector<std::vector<double>> call_s = {};  // [batches][rounds]
  double flops = 0;                              // of a chunk
  double evaluations = 0;                        // of a chunk, in whole forwards
};

class ControlBench {
 public:
  ControlBench(const ControlBenchOptions& options, const std::function<void()>& on_turn,
               BenchReport& report)
      : options_(options),
        on_turn_(on_turn),
        report_(report),
        file_(PolicyFile::read(find_model(options.model))),
        backend_(Backend::useful_threads(options.n_threads)),
        one_thread_(1),
        peak_(backend_, Arithmetic::kF32),
        one_thread_peak_(one_thread_, Arithmetic::kF32) {
    read_or_check_observations();
    const Model f32 = PolicyTransformerModel::from_file(file_, PolicyWeights::kF32);
    add("ddpm full, f32", f32, "ddpm", kFull);
    for (const auto& [name, weights] : {std::pair("as-is", PolicyWeights::kAsIs),
                                        {"f16", PolicyWeights::kF16},
                                        {"q8_0", PolicyWeights::kQ8_0}}) {
      if (const Model model = held_as(name, weights))
        add(fmt::format("ddpm full, {}", name), model, "ddpm", kFull);
    }
    for (const char* branch : {kBac5, kBac3, "joint:updates=10", "uniform:updates=10"})
      add(fmt::format("ddpm {}", branch), f32, "ddpm", branch);
    for (const char* sampler : {"ddim:steps=10", "respaced:steps=10"})
      add(fmt::format("{} full", sampler), f32, sampler, kFull);
    if (!options.python.empty())
      peer_.emplace(options.python, options.peer_script, file_, options.batches);
  }

  void compare_actions() {
    on_turn_();
    DiffusionPolicy& full = *contestants_[0].policy;
    if (observations_.empty())
      observations_ = pusht_observations(full, kErrorSeed, options_.n_observations, kErrorSpread);
    const auto exact = executed_actions(full, observations_, kErrorSeed);
    for (Contestant& one : contestants_) {
      on_turn_();
      rmse_.push_back(action_rmse(executed_actions(*one.policy, observations_, kErrorSeed), exact));
    }
    const uint64_t others = kErrorSeed + observations_.size();
    noise_rmse_ = action_rmse(executed_actions(full, observations_, others), exact);
    if (peer_) {
      ratio("forward_max_abs_error_vs_pytorch",
            once(peer_->forward_error(*contestants_[0].model, observations_)),
            {{Kind::kAtMost, 1e-5}});
    }
  }

  void time_rounds() {
    for (Contestant& one : contestants_) one.call_s.resize(options_.batches.size());
    for (int32_t round = 0; round <= options_.n_rounds; ++round) {
      const bool is_warm = round > 0;  // the first round finds no pages and no frequency yet
      on_turn_();
      const double peak = peak_.measure();
      backend_.rest();
      const double one_thread_peak = one_thread_peak_.measure();
      if (is_warm) {
        peaks_.push_back(peak);
        one_thread_peaks_.push_back(one_thread_peak);
      }
      for (size_t i_batch = 0; i_batch < options_.batches.size(); ++i_batch) {
        // Every round begins with another one, so that none is always behind the same.
        const size_t n_turns = contestants_.size() + (peer_ ? 1 : 0);
        for (size_t turn = 0; turn < n_turns; ++turn) {
          const size_t i = (turn + static_cast<size_t>(round)) % n_turns;
          if (i == contestants_.size()) {
            peer_->take_turns(i_batch, is_warm, on_turn_);
          } else {
            on_turn_();
            const double seconds = call_s(contestants_[i], options_.batches[i_batch], round);
            if (is_warm) contestants_[i].call_s[i_batch].push_back(seconds);
          }
        }
      }
    }
  }

  void time_schedule() {
    const PolicyTransformerModel& model = *contestants_[0].model;
    const SamplerSpec ddpm = SamplerSpec::parse("ddpm", model.noise);
    const ChosenBranch bac = choose_branch(kBac5, model, ddpm);
    std::vector<double> ms;
    for (int32_t i = 0; i < options_.n_rounds; ++i) {
      on_turn_();
      const Stopwatch stopwatch;
      bac.policy->schedule(bac.schedule.shape(), &bac.calibration->calibration);
      ms.push_back(1e3 * stopwatch.seconds());
    }
    ratio("schedule_ms", bench_sample(ms), {{Kind::kAtMost, 10}});
  }

  void write_rows() {
    for (size_t i_batch = 0; i_batch < options_.batches.size(); ++i_batch) {
      const int32_t n_robots = options_.batches[i_batch];
      for (size_t i = 0; i < contestants_.size(); ++i) {
        const Contestant& one = contestants_[i];
        BenchRow& row = report_.rows.emplace_back(
            BenchRow{one.subject,
                     n_robots,
                     {{"chunk_ms", chunk_ms(one.call_s[i_batch], n_robots)},
                      {"bound_share", bench_sample(bound_shares(one, i_batch))},
                      {"evaluations", once(one.evaluations)},
                      {"gflop", once(1e-9 * one.flops)},
                      {"action_rmse_px", once(rmse_[i])}}});
        if (i_batch > 0) continue;
        row.values.push_back({"cache_bytes", once(static_cast<double>(one.policy->cache_bytes()))});
        row.values.push_back({"weight_bytes", once(static_cast<double>(one.model->weight_bytes))});
      }
      if (peer_) peer_->write_rows(i_batch, report_);
    }
  }

  void write_ratios() {
    const auto one_robot = std::ranges::find(options_.batches, 1);
    if (one_robot != options_.batches.end())
      write_ratios_of_times(static_cast<size_t>(one_robot - options_.batches.begin()));
    ratio("flops_full_over_bac", once(contestants_[0].flops / of(kBac5).flops),
          {{Kind::kAtLeast, 5}});
    ratio("error_px_between_noises", once(noise_rmse_));
  }

  // The targets are of calls for one robot, which batch `i_one` is.
  void write_ratios_of_times(size_t i_one) {
    const Contestant& full = contestants_[0];
    if (peer_) {
      ratio("full_vs_pytorch_cpu", bench_sample(divided(peer_->best(i_one), full.call_s[i_one])),
            {{Kind::kAtLeast, 1.8}});
    }
    ratio("full_share_of_flop_bound", bench_sample(bound_shares(full, i_one)),
          {{Kind::kAtLeast, 0.5}});
    const auto speedup = [&](const Contestant& one) {
      return bench_sample(divided(full.call_s[i_one], one.call_s[i_one]));
    };
    ratio("bac_s10_n5_vs_full_wall", speedup(of(kBac5)), {{Kind::kAtLeast, 4}});
    ratio("bac_s10_n3_vs_full_wall", speedup(of(kBac3)), {{Kind::kAtLeast, 5}});
    std::optional<BenchSample> smallest;
    std::vector<BenchRatio> shares;
    for (const Contestant& one : contestants_) {
      if (one.evaluations >= full.evaluations) continue;
      BenchSample share = speedup(one);
      for (double* value : {&share.median, &share.low, &share.high})
        *value *= one.evaluations / full.evaluations;
      if (!smallest || share.median < smallest->median) smallest = share;
      shares.push_back({fmt::format("share_of_eval_count {}", one.subject), share});
    }
    ratio("share_of_eval_count", *smallest, {{Kind::kAtLeast, 0.85}});
    std::ranges::copy(shares, std::back_inserter(report_.ratios));
  }

  void write_facts() {
    report_.facts = {{"model", file_.name},
                     {"threads", std::to_string(backend_.n_threads())},
                     {"observations", std::to_string(observations_.size())},
                     {"peak resident bytes", std::to_string(resident_memory().peak)}};
    if (peer_) report_.facts.emplace_back("peer", peer_->versions());
  }

  // One a row that is not there.
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  // Recorded ones, or whether the policy can make those of Push-T.
  void read_or_check_observations() {
    if (!options_.observations_file.empty()) {
      observations_ = read_observations(options_.observations_file, file_.hparams,
                                        options_.n_observations, "--observations");
      return;
    }
    const std::string misfit = pusht_misfit(file_.hparams);
    if (misfit.empty()) return;
    throw Error(fmt::format(
        "{}: does not fit Push-T: {}; give recorded observations with --observations-file",
        file_.path, misfit));
  }

  // Null, with a note, where the type cannot hold the weights.
  Model held_as(std::string_view name, PolicyWeights weights) {
    try {
      return PolicyTransformerModel::from_file(file_, weights);
    } catch (const Error& error) {
      missing_.push_back(fmt::format("No row of {} weights: {}.", name, error.what()));
      return nullptr;
    }
  }

  void add(std::string subject, const Model& model, std::string_view sampler,
           std::string_view branch) {
    const SamplerSpec spec = SamplerSpec::parse(sampler, model->noise);
    const BranchSchedule schedule = choose_branch(branch, *model, spec).schedule;
    contestants_.push_back({std::move(subject), model,
                            std::make_unique<DiffusionPolicy>(model, backend_, spec, schedule)});
  }

  double call_s(Contestant& one, int32_t n_robots, int32_t round) {
    std::vector<ChunkRequest> requests;
    requests.reserve(n_robots);
    for (int32_t i = 0; i < n_robots; ++i) {
      requests.push_back({.obs = observations_[i % observations_.size()],
                          .seed = static_cast<uint64_t>(round) * n_robots + i});
    }
    one.policy->reset_counts();
    const Stopwatch stopwatch;
    one.policy->act(requests);
    const double seconds = stopwatch.seconds();
    backend_.rest();
    const ControlCounts& counts = one.policy->counts();
    one.flops = counts.flops / n_robots;
    one.evaluations = counts.evaluations_per_chunk(one.policy->hparams().n_branches());
    return seconds;
  }

  // Per round: the time that its multiply-adds would take at the measured F32 peak of the threads
  // that it uses, over the time that it took.
  std::vector<double> bound_shares(const Contestant& one, size_t i_batch) const {
    const int32_t n_robots = options_.batches[i_batch];
    const int32_t n_used = std::min(backend_.n_threads(), n_robots);  // a thread each
    std::vector<double> shares;
    for (size_t i = 0; i < peaks_.size(); ++i) {
      const double peak =
          n_used == 1 ? one_thread_peaks_[i] : peaks_[i] * n_used / backend_.n_threads();
      shares.push_back(one.flops * n_robots / peak / one.call_s[i_batch][i]);
    }
    return shares;
  }

  const Contestant& of(std::string_view branch) const {
    return *std::ranges::find_if(
        contestants_, [&](const Contestant& one) { return one.subject.ends_with(branch); });
  }

  void ratio(std::string key, const BenchSample& value, std::optional<BenchTarget> target = {}) {
    report_.ratios.push_back({std::move(key), value, target});
  }

  const ControlBenchOptions& options_;
  const std::function<void()>& on_turn_;
  BenchReport& report_;
  PolicyFile file_;
  Backend backend_;
  Backend one_thread_;
  ArithmeticPeak peak_;
  ArithmeticPeak one_thread_peak_;
  std::vector<Contestant> contestants_;  // everything computed in F32 first
  std::optional<PolicyBenchPeer> peer_;
  std::vector<std::vector<float>> observations_;
  std::vector<double> rmse_;  // px, one a contestant
  double noise_rmse_ = 0;     // px
  std::vector<std::string> missing_;
  std::vector<double> peaks_;  // operations a second of all threads, one a round
  std::vector<double> one_thread_peaks_;
};

}  // namespace

BenchReport bench_control(const ControlBenchOptions& options,
                          const std::function<void()>& on_turn) {
  BenchReport report;
  report.bench = "control";
  report.title = "Robot control";
  report.machine = this_machine();
  report.setting = "robots";
  report.columns = {
      {.key = "chunk_ms",
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
      {.key = "resident_bytes", .title = "resident", .format = BenchFormat::kBytes},
  };
  report.highlights = {"ddpm full, f32", fmt::format("ddpm {}", kBac5)};
  ControlBench bench(options, on_turn, report);
  bench.compare_actions();
  bench.time_rounds();
  bench.time_schedule();
  bench.write_rows();
  bench.write_ratios();
  bench.write_facts();
  report.notes = {
      "All take turns, one call a round; a robot is computed by one thread. Weights are F32 where "
      "no type is named. An evaluation is "
      "as "
      "many branches as a whole forward has.",
      "share_of_eval_count: the measured speed-up over what the number of evaluations promises, of "
      "the method that loses most. Ratios of times are of calls for one robot, and left out where "
      "there were none.",
      fmt::format("Two runs of everything with different noise differ by error_px_between_noises."),
      options.python.empty()
          ? "No PyTorch peer: 'python3 -m venv peer && peer/bin/pip install torch diffusers "
            "numpy', "
            "then --torch peer/bin/python."
          : "PyTorch runs the same weights in eager inference mode, with diffusers' scheduler and "
            "with its arithmetic alone; its fastest setting counts. A setting that took more than "
            "4 times the fastest's time in the first round is not run again."};
  std::ranges::copy(bench.missing(), std::back_inserter(report.notes));
  if (!options.observations_file.empty())
    report.notes.emplace_back(
        "Errors are in the units of the policy's actions, whatever they are.");
  return report;
}

}  // namespace reprise
