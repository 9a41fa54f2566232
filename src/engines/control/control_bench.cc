#include "engines/control/control_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>

#include "core/arithmetic_peak.h"
#include "core/error.h"
#include "core/model_folders.h"
#include "core/resident_memory.h"
#include "core/stopwatch.h"
#include "engines/control/chosen_branch.h"
#include "engines/control/control_bench_report.h"
#include "engines/control/policy_bench_peer.h"
#include "engines/control/pusht_environment.h"
#include "engines/control/pusht_eval.h"
#include "engines/control/recorded_observations.h"

namespace reprise {
namespace {

using Model = std::shared_ptr<const PolicyTransformerModel>;

constexpr const char* kFull = "full";

// One way of making chunks.
struct Contestant {
  Model model;
  std::unique_ptr<DiffusionPolicy> policy;
};

class ControlBench {
 public:
  ControlBench(const ControlBenchOptions& options, const std::function<void()>& on_turn)
      : options_(options),
        on_turn_(on_turn),
        file_(PolicyFile::read(find_model(options.model))),
        backend_(Backend::useful_threads(options.n_threads)),
        one_thread_(1),
        peak_(backend_, Arithmetic::kF32),
        one_thread_peak_(one_thread_, Arithmetic::kF32) {
    measured_.batches = options.batches;
    measured_.n_threads = backend_.n_threads();
    read_or_check_observations();
    const Model f32 = PolicyTransformerModel::from_file(file_, PolicyWeights::kF32);
    add("ddpm full, f32", f32, "ddpm", kFull);
    for (const auto& [name, weights] : {std::pair("as-is", PolicyWeights::kAsIs),
                                        {"f16", PolicyWeights::kF16},
                                        {"q8_0", PolicyWeights::kQ8_0}}) {
      if (const Model model = held_as(name, weights))
        add(fmt::format("ddpm full, {}", name), model, "ddpm", kFull);
    }
    for (const char* branch : {kBenchBac5, kBenchBac3, "joint:updates=10", "uniform:updates=10"})
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
    for (size_t i = 0; i < contestants_.size(); ++i) {
      on_turn_();
      const auto executed = executed_actions(*contestants_[i].policy, observations_, kErrorSeed);
      measured_.sides[i].action_rmse = action_rmse(executed, exact);
    }
    const uint64_t others = kErrorSeed + observations_.size();
    measured_.noise_rmse = action_rmse(executed_actions(full, observations_, others), exact);
    if (peer_)
      measured_.forward_error = peer_->forward_error(*contestants_[0].model, observations_);
  }

  void time_rounds() {
    for (ControlBenchSide& side : measured_.sides) side.call_s.resize(options_.batches.size());
    for (int32_t round = 0; round <= options_.n_rounds; ++round) {
      const bool is_warm = round > 0;  // the first round finds no pages and no frequency yet
      on_turn_();
      const double peak = peak_.measure();
      backend_.rest();
      const double one_thread_peak = one_thread_peak_.measure();
      if (is_warm) {
        measured_.peaks.push_back(peak);
        measured_.one_thread_peaks.push_back(one_thread_peak);
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
            const double seconds = call_s(i, options_.batches[i_batch], round);
            if (is_warm) measured_.sides[i].call_s[i_batch].push_back(seconds);
          }
        }
      }
    }
  }

  void time_schedule() {
    const PolicyTransformerModel& model = *contestants_[0].model;
    const SamplerSpec ddpm = SamplerSpec::parse("ddpm", model.noise);
    const ChosenBranch bac = choose_branch(kBenchBac5, model, ddpm);
    for (int32_t i = 0; i < options_.n_rounds; ++i) {
      on_turn_();
      const Stopwatch stopwatch;
      bac.policy->schedule(bac.schedule.shape(), &bac.calibration->calibration);
      measured_.schedule_ms.push_back(1e3 * stopwatch.seconds());
    }
  }

  BenchReport report() {
    BenchReport out = control_bench_report(measured_, peer_ ? &*peer_ : nullptr);
    out.machine = this_machine();
    out.facts = {{"model", file_.name},
                 {"threads", std::to_string(backend_.n_threads())},
                 {"observations", std::to_string(observations_.size())},
                 {"peak resident bytes", std::to_string(resident_memory().peak)}};
    if (peer_) out.facts.emplace_back("peer", peer_->versions());
    std::ranges::copy(missing_, std::back_inserter(out.notes));
    if (!options_.observations_file.empty())
      out.notes.emplace_back("Errors are in the units of the policy's actions, whatever they are.");
    return out;
  }

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
    contestants_.push_back(
        {model, std::make_unique<DiffusionPolicy>(model, backend_, spec, schedule)});
    measured_.sides.push_back({.subject = std::move(subject),
                               .cache_bytes = contestants_.back().policy->cache_bytes(),
                               .weight_bytes = model->weight_bytes});
  }

  double call_s(size_t i_contestant, int32_t n_robots, int32_t round) {
    std::vector<ChunkRequest> requests;
    requests.reserve(n_robots);
    for (int32_t i = 0; i < n_robots; ++i) {
      requests.push_back({.obs = observations_[i % observations_.size()],
                          .seed = static_cast<uint64_t>(round) * n_robots + i});
    }
    DiffusionPolicy& policy = *contestants_[i_contestant].policy;
    policy.reset_counts();
    const Stopwatch stopwatch;
    policy.act(requests);
    const double seconds = stopwatch.seconds();
    backend_.rest();
    const ControlCounts& counts = policy.counts();
    ControlBenchSide& side = measured_.sides[i_contestant];
    side.flops = counts.flops / n_robots;
    side.evaluations = counts.evaluations_per_chunk(policy.hparams().n_branches());
    return seconds;
  }

  const ControlBenchOptions& options_;
  const std::function<void()>& on_turn_;
  PolicyFile file_;
  Backend backend_;
  Backend one_thread_;
  ArithmeticPeak peak_;
  ArithmeticPeak one_thread_peak_;
  std::vector<Contestant> contestants_;  // in the order of measured_.sides
  ControlMeasurements measured_;
  std::optional<PolicyBenchPeer> peer_;
  std::vector<std::vector<float>> observations_;
  std::vector<std::string> missing_;  // rows that are not there, and why
};

}  // namespace

BenchReport bench_control(const ControlBenchOptions& options,
                          const std::function<void()>& on_turn) {
  ControlBench bench(options, on_turn);
  bench.compare_actions();
  bench.time_rounds();
  bench.time_schedule();
  return bench.report();
}

}  // namespace reprise
