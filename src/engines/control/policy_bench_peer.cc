#include "engines/control/policy_bench_peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engines/control/action_noise.h"
#include "nets/policy_transformer.h"

namespace reprise {
namespace {

// Times the fastest setting's first call; a noisy machine hardly makes one call as slow.
constexpr double kHopeless = 4;
constexpr int32_t kTimesteps = 5;

// The whole network for one robot.
std::vector<float> forward(const PolicyTransformerModel& model, int32_t timestep,
                           std::span<const float> sample, std::span<const float> obs) {
  PolicyMemory memory;
  remember_observations(model, obs, memory);
  PolicyWorkspace workspace(model, 1);
  return predict_all(model, sample, timestep, memory, {0, 1}, workspace);
}

}  // namespace

PolicyBenchPeer::PolicyBenchPeer(const std::string& python, const std::filesystem::path& script,
                                 const PolicyFile& network, std::span<const int32_t> batches)
    : peer_(python, script, network), batches_(batches.begin(), batches.end()) {
  using Loop = PolicyPeer::Loop;
  for (size_t i = 0; i < batches_.size(); ++i) {
    settings_.push_back(
        {{Loop::kDiffusers, 1}, {Loop::kDiffusers, 2}, {Loop::kPlain, 1}, {Loop::kPlain, 2}});
  }
}

double PolicyBenchPeer::forward_error(const PolicyTransformerModel& model,
                                      std::span<const std::vector<float>> observations) {
  const PolicyHparams& hp = model.hparams;
  NormalStream noise(1);
  std::vector<float> sample(static_cast<size_t>(hp.n_horizon) * hp.n_action);
  double largest = 0;
  for (size_t i = 0; i < observations.size(); ++i) {
    noise.fill(sample);
    std::vector<float> obs = observations[i];
    for (size_t j = 0; j < obs.size(); ++j) {
      obs[j] = obs[j] * model.obs.scale[j % hp.n_obs] + model.obs.offset[j % hp.n_obs];
    }
    const auto timestep =
        static_cast<int32_t>(i % kTimesteps * (model.noise.n_train_steps - 1) / (kTimesteps - 1));
    const std::vector<float> theirs = peer_.forward(timestep, sample, obs);
    const std::vector<float> ours = forward(model, timestep, sample, obs);
    for (size_t j = 0; j < ours.size(); ++j)
      largest = std::max(largest, std::abs(static_cast<double>(ours[j]) - theirs[j]));
  }
  return largest;
}

void PolicyBenchPeer::take_turns(size_t i_batch, bool is_warm,
                                 const std::function<void()>& on_turn) {
  std::vector<Setting>& settings = settings_[i_batch];
  for (Setting& setting : settings) {
    if (setting.is_hopeless) continue;
    on_turn();
    const double seconds = peer_.chunk_s(setting.loop, setting.n_threads, batches_[i_batch]);
    if (is_warm)
      setting.call_s.push_back(seconds);
    else
      setting.first_s = seconds;
  }
  if (is_warm) return;
  // Those with one thread stay: a busy machine must not leave none.
  const double fastest = std::ranges::min(settings, {}, &Setting::first_s).first_s;
  for (Setting& setting : settings)
    setting.is_hopeless = setting.n_threads > 1 && setting.first_s > kHopeless * fastest;
}

const std::vector<double>& PolicyBenchPeer::best(size_t i_batch) const {
  const std::vector<Setting>& settings = settings_[i_batch];
  const Setting* best = &settings.front();  // one thread, which is never hopeless
  for (const Setting& setting : settings) {
    if (setting.is_hopeless) continue;
    if (bench_sample(setting.call_s).median < bench_sample(best->call_s).median) best = &setting;
  }
  return best->call_s;
}

void PolicyBenchPeer::write_rows(size_t i_batch, BenchReport& report) {
  for (const Setting& setting : settings_[i_batch]) {
    if (setting.is_hopeless) continue;
    std::vector<double> ms;
    for (const double s : setting.call_s) ms.push_back(1e3 * s / batches_[i_batch]);
    BenchRow& row = report.rows.emplace_back(
        BenchRow{fmt::format("PyTorch, {} loop, {} thread{}", PolicyPeer::name(setting.loop),
                             setting.n_threads, setting.n_threads == 1 ? "" : "s"),
                 batches_[i_batch],
                 {{"chunk_ms", bench_sample(ms)}}});
    if (i_batch == 0)
      row.values.push_back(
          {"resident_bytes", bench_sample({static_cast<double>(peer_.peak_bytes())})});
  }
}

}  // namespace reprise
