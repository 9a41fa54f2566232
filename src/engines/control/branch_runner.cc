#include "engines/control/branch_runner.h"

#include <algorithm>
#include <cassert>
#include <chrono>

namespace reprise {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = BranchWork::Kind;

// So many values at a time stay in the first cache while several arrays join them.
constexpr int64_t kBlock = 2048;

void add(const float* __restrict from, int64_t n, float* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] += from[i];
}

}  // namespace

BranchRunner::Own::Own(const PolicyTransformerModel& model, const BranchPlan& plan,
                       int32_t n_robots)
    : workspace(model, n_robots) {
  const int64_t n_rows = static_cast<int64_t>(n_robots) * model.hparams.n_horizon;
  x.resize(n_rows * model.hparams.n_action);
  y.resize(x.size());
  h.resize(n_rows * model.hparams.n_embd);
  sums.resize(plan.n_sums() * h.size());
  diffused.resize(model.hparams.n_horizon * model.hparams.n_action);
}

BranchRunner::BranchRunner(const PolicyTransformerModel& model, const ActionSampler& sampler,
                           const BranchPlan& plan, int32_t n_robots, int32_t n_threads)
    : model_(model),
      sampler_(sampler),
      plan_(plan),
      n_robots_(n_robots),
      workspace_(model, n_robots, n_threads) {
  for (int32_t i = 0; i < n_threads; ++i) own_.emplace_back(model, plan, n_robots);
  fresh_.resize(2 * own_[0].h.size());
  outputs_.resize(plan.n_outputs() * own_[0].h.size());
  for (int32_t k = 0; k < sampler.n_steps(); ++k) steps_.push_back(step_counts(k));
}

void BranchRunner::run(std::span<const ActionDenoising> robots, const PolicyTeam& team,
                       const BranchObserver& observer, ControlCounts& counts) {
  assert(static_cast<int32_t>(robots.size()) <= n_robots_ && team.n_threads <= n_threads());
  const PolicyHparams& hp = model_.hparams;
  const auto n_rows = static_cast<int64_t>(robots.size()) * hp.n_horizon;
  Own& own = own_[team.i_thread];
  Run run{robots, team, observer, counts, own, n_rows, n_rows * hp.n_embd};
  if (team.i_thread == 0) {
    std::vector<float> obs;
    for (const ActionDenoising& robot : robots) {
      obs.insert(obs.end(), robot.obs.begin(), robot.obs.end());
    }
    remember_observations(model_, obs, memory_);
  }
  const int64_t n_actions = static_cast<int64_t>(hp.n_horizon) * hp.n_action;
  own.frozen_noise.clear();
  for (size_t i = 0; i < robots.size(); ++i) {
    std::ranges::copy(robots[i].noise.first(n_actions), own.x.begin() + i * n_actions);
    own.frozen_noise.emplace_back(robots[i].frozen_seed);
  }
  team.wait();
  auto begin = Clock::now();
  for (int32_t k = 0; k < sampler_.n_steps(); ++k) {
    freeze(run, k);
    predict_step(run, k);
    step_robots(run, k);
    if (team.i_thread == 0) {
      const auto end = Clock::now();
      counts.add_step(steps_[k], static_cast<int64_t>(robots.size()),
                      std::chrono::duration<double>(end - begin).count());
      begin = end;
    }
  }
  // The other threads' copies hold the same.
  if (team.i_thread == 0) {
    for (size_t i = 0; i < robots.size(); ++i) {
      std::copy_n(own.x.begin() + i * n_actions, n_actions, robots[i].actions.begin());
      std::ranges::copy(robots[i].frozen,
                        robots[i].actions.begin() + (hp.n_obs_steps - 1) * hp.n_action);
    }
  }
  team.wait();
}

// Puts the actions that are already bound to happen at the noise level of step k into x.
void BranchRunner::freeze(Run& run, int32_t k) {
  const PolicyHparams& hp = model_.hparams;
  const int64_t n_actions = static_cast<int64_t>(hp.n_horizon) * hp.n_action;
  for (size_t i = 0; i < run.robots.size(); ++i) {
    const std::span<const float> frozen = run.robots[i].frozen;
    if (frozen.empty()) continue;
    const auto z = std::span(run.own.diffused).first(frozen.size());
    run.own.frozen_noise[i].fill(z);
    const int64_t first = i * n_actions + (hp.n_obs_steps - 1) * hp.n_action;
    sampler_.diffuse(k, frozen, z, std::span(run.own.x).subspan(first, frozen.size()));
  }
}

// y of step k.
void BranchRunner::predict_step(Run& run, int32_t k) {
  Own& own = run.own;
  const auto work = plan_.step(k);
  if (plan_.is_all_reuse(k)) {
    float* sum = own.sums.data() + work[0].i_store * run.n_values;
    if (work[0].kind == Kind::kSum) sum_kept(run, work[0], sum);
    reuse_step(model_, own.x.data(), sum, run.n_rows, own.y.data(), own.workspace);
    return;
  }
  embed_actions(model_, own.x.data(), run.n_rows, own.h.data());
  // Another thread may still read what this step computes anew.
  run.team.wait();
  for (const BranchWork& item : work) {
    switch (item.kind) {
      case Kind::kCompute:
        compute(run, k, item);
        break;
      case Kind::kAdd:
        add_kept(run, item, own.h.data());
        break;
      case Kind::kSum:
      case Kind::kAddSum: {
        float* sum = own.sums.data() + item.i_store * run.n_values;
        if (item.kind == Kind::kSum) sum_kept(run, item, sum);
        add(sum, run.n_values, own.h.data());
      }
    }
  }
  predict(model_, own.h.data(), run.n_rows, own.y.data());
}

void BranchRunner::compute(Run& run, int32_t k, const BranchWork& work) {
  // In turns: a thread that is behind may still read the last one.
  float* out = work.i_store >= 0 ? outputs_.data() + work.i_store * run.n_values
                                 : fresh_.data() + (run.n_fresh++ % 2) * run.n_values;
  branch(model_,
         {.b = work.begin,
          .timestep = sampler_.timesteps()[k],
          .robots = {0, static_cast<int64_t>(run.robots.size())},
          .h = run.own.h.data(),
          .out = out},
         memory_, workspace_, run.team);
  if (run.observer && run.team.i_thread == 0) {
    run.observer(work.begin, k, {out, static_cast<size_t>(run.n_values)});
  }
  add(out, run.n_values, run.own.h.data());
}

void BranchRunner::add_kept(const Run& run, const BranchWork& work, float* out) const {
  for (int64_t at = 0; at < run.n_values; at += kBlock) {
    const int64_t n = std::min(kBlock, run.n_values - at);
    for (int32_t b = work.begin; b < work.end; ++b) {
      add(outputs_.data() + plan_.i_output(b) * run.n_values + at, n, out + at);
    }
  }
}

void BranchRunner::sum_kept(const Run& run, const BranchWork& work, float* out) const {
  std::copy_n(outputs_.data() + plan_.i_output(work.begin) * run.n_values, run.n_values, out);
  BranchWork rest = work;
  ++rest.begin;
  add_kept(run, rest, out);
}

void BranchRunner::step_robots(Run& run, int32_t k) {
  const PolicyHparams& hp = model_.hparams;
  const int64_t n_actions = static_cast<int64_t>(hp.n_horizon) * hp.n_action;
  for (size_t i = 0; i < run.robots.size(); ++i) {
    sampler_.step(k, std::span(run.own.y).subspan(i * n_actions, n_actions),
                  std::span(run.own.x).subspan(i * n_actions, n_actions),
                  sampler_.needs_noise(k)
                      ? run.robots[i].noise.subspan((k + 1) * n_actions, n_actions)
                      : std::span<const float>());
  }
}

// What one robot's step k adds to the counts.
ControlCounts BranchRunner::step_counts(int32_t k) const {
  const PolicyHparams& hp = model_.hparams;
  ControlCounts counts;
  counts.flops = 2.0 * 2 * hp.n_horizon * hp.n_embd * hp.n_action;  // embedding and head
  for (const BranchWork& work : plan_.step(k)) {
    const bool is_computed = work.kind == Kind::kCompute;
    (is_computed ? counts.n_branches_computed : counts.n_branches_reused) += work.end - work.begin;
    for (int32_t b = work.begin; b < work.end; ++b) {
      (is_computed ? counts.flops : counts.saved_flops) += branch_flops(model_, b);
    }
  }
  const StepClass step_class = counts.n_branches_reused == 0     ? StepClass::kAll
                               : counts.n_branches_computed == 0 ? StepClass::kNone
                                                                 : StepClass::kSome;
  counts.steps[static_cast<size_t>(step_class)].n = 1;
  return counts;
}

}  // namespace reprise
