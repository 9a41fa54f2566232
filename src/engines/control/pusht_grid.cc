#include "engines/control/pusht_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/bench_report.h"
#include "engines/control/chosen_branch.h"

namespace reprise {
namespace {

constexpr int32_t kTurns = 7;
constexpr int32_t kUpdates[] = {20, 10, 5};
constexpr int32_t kBubbling[] = {3, 5};
constexpr int32_t kRoundSteps[] = {20, 16, 10, 5};

PushtMethod method(const PolicyTransformerModel& model, const std::string& sampler,
                   const std::string& branch) {
  const SamplerSpec spec = SamplerSpec::parse(sampler, model.noise);
  return {branch, spec, choose_branch(branch, model, spec).schedule};
}

double evaluations(const BranchSchedule& schedule) {
  return static_cast<double>(schedule.n_computed()) / schedule.shape().n_branches();
}

// Median milliseconds of one call of every method.
std::vector<double> call_ms(const std::shared_ptr<const PolicyTransformerModel>& model,
                            const Backend& backend, std::span<const PushtMethod> methods,
                            std::span<const float> observation,
                            const std::function<void()>& on_turn) {
  std::vector<std::unique_ptr<DiffusionPolicy>> policies;
  policies.reserve(methods.size());
  for (const PushtMethod& one : methods)
    policies.push_back(
        std::make_unique<DiffusionPolicy>(model, backend, one.sampler, one.schedule));
  std::vector<std::vector<double>> seconds(methods.size());
  for (int32_t turn = 0; turn <= kTurns; ++turn) {
    for (size_t i = 0; i < policies.size(); ++i) {
      on_turn();
      policies[i]->reset_counts();
      policies[i]->act({.obs = observation, .seed = static_cast<uint64_t>(turn)});
      // The first turn finds no pages and no frequency yet.
      if (turn > 0) seconds[i].push_back(policies[i]->counts().total_s);
    }
  }
  std::vector<double> medians;
  medians.reserve(seconds.size());
  for (const std::vector<double>& of_one : seconds)
    medians.push_back(1e3 * bench_sample(of_one).median);
  return medians;
}

}  // namespace

std::vector<PushtMethod> pusht_methods(const PolicyTransformerModel& model,
                                       const std::vector<std::string>& samplers,
                                       const std::vector<std::string>& branches) {
  std::vector<PushtMethod> methods = {method(model, "ddpm", "full")};
  for (const std::string& sampler : samplers) {
    for (const std::string& branch : branches) {
      PushtMethod next = method(model, sampler, branch);
      const bool is_first = next.sampler == methods[0].sampler && branch == methods[0].branch;
      if (!is_first) methods.push_back(std::move(next));
    }
  }
  return methods;
}

std::vector<PushtMethod> pusht_table_methods(
    const std::shared_ptr<const PolicyTransformerModel>& model, const Backend& backend,
    std::span<const float> observation, const std::function<void()>& on_turn) {
  std::vector<PushtMethod> bac = {method(*model, "ddpm", "full")};
  for (const int32_t updates : kUpdates) {
    for (const int32_t bubbling : kBubbling) {
      bac.push_back(
          method(*model, "ddpm", fmt::format("bac:updates={},bubbling={}", updates, bubbling)));
    }
  }
  const std::vector<double> ms = call_ms(model, backend, bac, observation, on_turn);
  const int32_t n_all = model->noise.n_train_steps;
  std::set<int32_t, std::greater<>> counts(std::begin(kRoundSteps), std::end(kRoundSteps));
  std::set<int32_t, std::greater<>> cached;  // evaluations, for schedules of all or nothing
  for (size_t i = 1; i < bac.size(); ++i) {
    const double by_time = n_all * ms[i] / ms[0];
    for (const double n_steps : {evaluations(bac[i].schedule), by_time})
      counts.insert(std::clamp(static_cast<int32_t>(std::lround(n_steps)), 1, n_all));
    cached.insert(static_cast<int32_t>(std::lround(evaluations(bac[i].schedule))));
  }
  std::vector<PushtMethod> methods = {bac.front()};
  std::set<std::string> known = {bac.front().name()};
  const auto add = [&](const std::string& sampler, const std::string& branch) {
    PushtMethod next = method(*model, sampler, branch);
    if (known.insert(next.name()).second) methods.push_back(std::move(next));
  };
  for (const char* kind : {"respaced", "ddim"}) {
    for (const int32_t n_steps : counts) {
      const std::string sampler = fmt::format("{}:steps={}", kind, n_steps);
      // Leading steps that do not divide begin long before the noisiest one: 26 of 100 at 75.
      if (n_all % n_steps != 0) add(sampler + ",spacing=trailing", "full");
      add(sampler, "full");
    }
  }
  for (const int32_t n : kUpdates) add("ddpm", fmt::format("uniform:updates={}", n));
  for (const int32_t n : kUpdates)
    add("ddpm", fmt::format("uniform:updates={},force_last=true", n));
  for (const int32_t n : cached) {
    const double every = static_cast<double>(n_all) / std::max(n - 1, 1);  // and the last step
    add("ddpm", fmt::format("uniform:every={},force_last=true", std::lround(every)));
  }
  add("ddpm", "unified:updates=10");
  add("ddpm", "unified:updates=10,force_last=true");
  for (const int32_t n : kUpdates) add("ddpm", fmt::format("block_acs:updates={}", n));
  for (const int32_t n : kUpdates) add("ddpm", fmt::format("joint:updates={}", n));
  for (const int32_t n : cached) add("ddpm", fmt::format("joint:updates={}", std::max(n - 1, 1)));
  for (size_t i = 1; i < bac.size(); ++i) add("ddpm", bac[i].branch);
  add("ddpm", "lowest_consecutive:updates=10");
  return methods;
}

}  // namespace reprise
