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

// Of one robot.
int64_t values_of_x(const PolicyHparams& hp) {
  return static_cast<int64_t>(hp.n_horizon) * hp.n_channels();
}

}  // namespace

BranchRunner::BranchRunner(const PolicyTransformerModel& model, const ActionSampler& sampler,
                           const BranchPlan& plan, int32_t n_robots)
    : model_(model),
      sampler_(sampler),
      plan_(plan),
      n_robots_(n_robots),
      workspace_(model, n_robots) {
  const PolicyHparams& hp = model.hparams;
  x_.resize(n_robots * values_of_x(hp));
  y_.resize(x_.size());
  h_.resize(static_cast<int64_t>(n_robots) * hp.n_rows() * hp.n_embd);
  fresh_.resize(h_.size());
  outputs_.resize(plan.n_outputs() * h_.size());
  sums_.resize(plan.n_sums() * h_.size());
  frozen_z_.resize(hp.n_horizon * hp.n_action);
  diffused_.resize(frozen_z_.size());
  for (int32_t k = 0; k < sampler.n_steps(); ++k) steps_.push_back(step_counts(k));
}

void BranchRunner::run(std::span<const ActionDenoising> robots, const BranchObserver& observer,
                       ControlCounts& counts) {
  assert(static_cast<int32_t>(robots.size()) <= n_robots_);
  const PolicyHparams& hp = model_.hparams;
  const auto n_robots = static_cast<int64_t>(robots.size());
  const Run run{robots, observer, n_robots, n_robots * hp.n_rows() * hp.n_embd};
  begin(run);
  auto step_begin = Clock::now();
  for (int32_t k = 0; k < sampler_.n_steps(); ++k) {
    put_known(run, k);
    predict_step(run, k);
    step_robots(run, k);
    const auto step_end = Clock::now();
    counts.add_step(steps_[k], n_robots,
                    std::chrono::duration<double>(step_end - step_begin).count());
    step_begin = step_end;
  }
  // An encoder's observations are not given back, and so not put in a last time.
  for (size_t i = 0; i < robots.size(); ++i) {
    for (int64_t t = 0; t < hp.n_horizon; ++t)
      std::copy_n(x_row(i, t), hp.n_action, robots[i].actions.begin() + t * hp.n_action);
    std::ranges::copy(robots[i].frozen,
                      robots[i].actions.begin() + (hp.n_obs_steps - 1) * hp.n_action);
  }
}

void BranchRunner::begin(const Run& run) {
  std::vector<float> obs;
  frozen_noise_.clear();
  for (size_t i = 0; i < run.robots.size(); ++i) {
    const ActionDenoising& robot = run.robots[i];
    obs.insert(obs.end(), robot.obs.begin(), robot.obs.end());
    std::ranges::copy(robot.noise.first(values_of_x(model_.hparams)), x_row(i, 0));
    frozen_noise_.emplace_back(robot.frozen_seed);
  }
  remember_observations(model_, obs, memory_);
}

// Puts what is known into x: the actions that are already bound to happen, at the noise level of
// step k, and an encoder's observations, without noise.
void BranchRunner::put_known(const Run& run, int32_t k) {
  const PolicyHparams& hp = model_.hparams;
  for (size_t i = 0; i < run.robots.size(); ++i) {
    const ActionDenoising& robot = run.robots[i];
    if (!robot.frozen.empty()) {
      const auto z = std::span(frozen_z_).first(robot.frozen.size());
      const auto diffused = std::span(diffused_).first(robot.frozen.size());
      frozen_noise_[i].fill(z);
      sampler_.diffuse(k, robot.frozen, z, diffused);
      const int64_t n_frozen = std::ssize(robot.frozen) / hp.n_action;
      for (int64_t t = 0; t < n_frozen; ++t) {
        std::copy_n(diffused.begin() + t * hp.n_action, hp.n_action,
                    x_row(i, hp.n_obs_steps - 1 + t));
      }
    }
    if (!hp.is_encoder_only) continue;
    for (int64_t t = 0; t < hp.n_obs_steps; ++t)
      std::copy_n(robot.obs.begin() + t * hp.n_obs, hp.n_obs, x_row(i, t) + hp.n_action);
  }
}

std::vector<float>::iterator BranchRunner::x_row(size_t i_robot, int64_t t) {
  const PolicyHparams& hp = model_.hparams;
  return x_.begin() + static_cast<ptrdiff_t>(i_robot) * values_of_x(hp) + t * hp.n_channels();
}

// y of step k.
void BranchRunner::predict_step(const Run& run, int32_t k) {
  const auto work = plan_.step(k);
  const auto sum_of = [&](const BranchWork& item) {
    float* sum = sums_.data() + item.i_store * run.n_values;
    if (item.kind == Kind::kSum) sum_kept(run, item, sum);
    return sum;
  };
  if (plan_.is_all_reuse(k)) {
    reuse_step(model_, x_.data(), sum_of(work[0]), run.n_robots, y_.data(), workspace_);
    return;
  }
  embed_actions(model_, x_.data(), run.n_robots, sampler_.timesteps()[k], h_.data());
  for (const BranchWork& item : work) {
    switch (item.kind) {
      case Kind::kCompute:
        compute(run, k, item);
        break;
      case Kind::kAdd:
        add_kept(run, item, h_.data());
        break;
      case Kind::kSum:
      case Kind::kAddSum:
        add(sum_of(item), run.n_values, h_.data());
    }
  }
  predict(model_, h_.data(), run.n_robots, y_.data());
}

void BranchRunner::compute(const Run& run, int32_t k, const BranchWork& work) {
  float* out = work.i_store < 0 ? fresh_.data() : outputs_.data() + work.i_store * run.n_values;
  branch(model_,
         {.b = work.begin,
          .timestep = sampler_.timesteps()[k],
          .robots = {0, run.n_robots},
          .h = h_.data(),
          .out = out},
         memory_, workspace_);
  if (run.observer) run.observer(work.begin, k, {out, static_cast<size_t>(run.n_values)});
  add(out, run.n_values, h_.data());
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

void BranchRunner::step_robots(const Run& run, int32_t k) {
  const int64_t n_x = values_of_x(model_.hparams);
  for (size_t i = 0; i < run.robots.size(); ++i) {
    sampler_.step(k, std::span(y_).subspan(i * n_x, n_x), std::span(x_).subspan(i * n_x, n_x),
                  sampler_.needs_noise(k) ? run.robots[i].noise.subspan((k + 1) * n_x, n_x)
                                          : std::span<const float>());
  }
}

// What one robot's step k adds to the counts.
ControlCounts BranchRunner::step_counts(int32_t k) const {
  const PolicyHparams& hp = model_.hparams;
  ControlCounts counts;
  counts.flops = 2.0 * 2 * hp.n_horizon * hp.n_embd * hp.n_channels();  // embedding and head
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
