#include "engines/control/diffusion_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "core/pool_job.h"
#include "engines/control/action_noise.h"

namespace reprise {
namespace {

// Robots whose rows are computed together: enough to read each weight for 128 rows, few enough for
// the rows to stay in a core's cache.
constexpr int64_t kMostTogether = 8;
// Which of a request's streams: the actions' noise, and what frozen actions are diffused with.
constexpr uint64_t kActionStream = 0;
constexpr uint64_t kFrozenStream = 1;

void normalise(const AffineChannels& channels, std::span<const float> raw,
               std::vector<float>& out) {
  const size_t n = channels.scale.size();
  out.resize(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    out[i] = raw[i] * channels.scale[i % n] + channels.offset[i % n];
  }
}

// The first that is not finite; all of them otherwise.
size_t first_not_finite(std::span<const float> values) {
  return std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); }) -
         values.begin();
}

void check_finite(std::span<const float> values, size_t i_request, std::string_view what,
                  std::string_view advice) {
  const size_t i = first_not_finite(values);
  if (i == values.size()) return;
  throw Error(
      fmt::format("robot {}: value {} of its {} is {}; {}", i_request, i, what, values[i], advice));
}

}  // namespace

BranchShape branch_shape(const PolicyHparams& hparams, const ActionSampler& sampler) {
  return {.n_layers = hparams.n_layer,
          .n_steps = sampler.n_steps(),
          .n_of_a_layer = hparams.n_of_a_layer()};
}

BranchSchedule full_schedule(const PolicyHparams& hparams, const ActionSampler& sampler) {
  return {branch_shape(hparams, sampler), true};
}

DiffusionPolicy::DiffusionPolicy(std::shared_ptr<const PolicyTransformerModel> model,
                                 const Backend& backend, const SamplerSpec& sampler,
                                 const BranchSchedule& schedule, ReuseOrder order)
    : model_(std::move(model)),
      backend_(backend),
      sampler_(sampler, model_->noise),
      schedule_(schedule),
      plan_(schedule, order) {
  const BranchShape shape = schedule.shape();
  const BranchShape wanted = branch_shape(hparams(), sampler_);
  if (shape != wanted) {
    throw Error(
        fmt::format("the branch schedule is of {} layers of {} branches and {} steps; the model "
                    "has {} layers of {} and --sampler {} takes {} steps; make it for these",
                    shape.n_layers, shape.n_of_a_layer, shape.n_steps, wanted.n_layers,
                    wanted.n_of_a_layer, sampler.text(), wanted.n_steps));
  }
  if (backend.pool() == nullptr) {
    throw Error("robot control computes on the CPU alone; leave --device out");
  }
}

int64_t DiffusionPolicy::cache_bytes() const {
  const int64_t n_values = static_cast<int64_t>(hparams().n_rows()) * hparams().n_embd;
  return (plan_.n_outputs() + plan_.n_sums()) * n_values * static_cast<int64_t>(sizeof(float));
}

std::span<const float> DiffusionPolicy::executed(const ActionChunk& chunk) const {
  const PolicyHparams& hp = hparams();
  return std::span(chunk.actions)
      .subspan((hp.n_obs_steps - 1) * hp.n_action, hp.n_action_steps * hp.n_action);
}

void DiffusionPolicy::check(const ChunkRequest& request, size_t i_request) const {
  const PolicyHparams& hp = hparams();
  const size_t n_obs = static_cast<size_t>(hp.n_obs_steps) * hp.n_obs;
  if (request.obs.size() != n_obs) {
    throw Error(
        fmt::format("robot {}: {} observed values, the policy sees {} steps of {}, {} in "
                    "all; repeat the oldest observation where fewer were made",
                    i_request, request.obs.size(), hp.n_obs_steps, hp.n_obs, n_obs));
  }
  check_finite(request.obs, i_request, "observations", "look at the sensor that gave it");
  const size_t n_actions = static_cast<size_t>(hp.n_horizon) * hp.n_action;
  const size_t n_noise =
      static_cast<size_t>(sampler_.n_steps() + 1) * hp.n_horizon * hp.n_channels();
  if (!request.noise.empty() && request.noise.size() != n_noise) {
    throw Error(fmt::format("robot {}: {} values of noise, {} steps need {} ([{}][{}][{}])",
                            i_request, request.noise.size(), sampler_.n_steps(), n_noise,
                            sampler_.n_steps() + 1, hp.n_horizon, hp.n_channels()));
  }
  check_finite(request.noise, i_request, "noise", "give unit normal numbers");
  const size_t n_usable = n_actions - static_cast<size_t>(hp.n_obs_steps - 1) * hp.n_action;
  if (request.frozen.size() % hp.n_action != 0 || request.frozen.size() > n_usable) {
    throw Error(
        fmt::format("robot {}: {} values of frozen actions; whole actions of {} values are "
                    "possible, at most {} of them",
                    i_request, request.frozen.size(), hp.n_action, n_usable / hp.n_action));
  }
  check_finite(request.frozen, i_request, "frozen actions", "give those that will be carried out");
}

std::vector<ActionChunk> DiffusionPolicy::act(std::span<const ChunkRequest> requests) {
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < requests.size(); ++i) check(requests[i], i);
  const PolicyHparams& hp = hparams();
  const size_t n_actions = static_cast<size_t>(hp.n_horizon) * hp.n_action;
  std::vector<Job> jobs(requests.size());
  std::vector<ActionDenoising> robots(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const ChunkRequest& request = requests[i];
    Job& job = jobs[i];
    normalise(model_->obs, request.obs, job.obs);
    normalise(model_->action, request.frozen, job.frozen);
    counts_.n_obs_outside +=
        std::ranges::count_if(job.obs, [](float v) { return std::abs(v) > kUsualObservation; });
    if (request.noise.empty()) {
      // x at first, and the z of all steps but the last.
      const size_t n_x = static_cast<size_t>(hp.n_horizon) * hp.n_channels();
      job.noise.resize((sampler_.needs_noise(0) ? sampler_.n_steps() : 1) * n_x);
      NormalStream(seed_of(request.seed, kActionStream)).fill(job.noise);
    }
    job.actions.resize(n_actions);
    robots[i] = {.obs = job.obs,
                 .noise = request.noise.empty() ? std::span<const float>(job.noise) : request.noise,
                 .frozen = job.frozen,
                 .frozen_seed = seed_of(request.seed, kFrozenStream),
                 .actions = job.actions};
  }
  denoise(robots);
  std::vector<ActionChunk> chunks(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    check_finite(jobs[i].actions, i, "actions",
                 "the model's weights do not fit these observations");
    chunks[i].actions.resize(n_actions);
    for (size_t j = 0; j < n_actions; ++j) {
      const size_t channel = j % hp.n_action;
      chunks[i].actions[j] =
          (jobs[i].actions[j] - model_->action.offset[channel]) / model_->action.scale[channel];
    }
    std::ranges::copy(requests[i].frozen,
                      chunks[i].actions.begin() + (hp.n_obs_steps - 1) * hp.n_action);
  }
  ++counts_.n_calls;
  counts_.n_chunks += static_cast<int64_t>(requests.size());
  counts_.total_s +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return chunks;
}

// Every thread takes a part of the robots, a few at a time. One robot is not shared by threads:
// they would meet 40 times a step, and where a neighbour of the machine holds one of them up, that
// took 7 times as long.
void DiffusionPolicy::denoise(std::span<const ActionDenoising> robots) {
  const auto n_robots = static_cast<int64_t>(robots.size());
  if (n_robots == 0) return;
  const int64_t n_parts = std::min<int64_t>(backend_.n_threads(), n_robots);
  const int64_t n_together = std::min(kMostTogether, (n_robots + n_parts - 1) / n_parts);
  // Those of earlier calls serve where they are large enough, and none is replaced by a smaller.
  if (std::ssize(runners_) < n_parts || runners_[0].n_robots() < n_together) {
    const int64_t n_runners = std::max(n_parts, std::ssize(runners_));
    const int64_t n_each =
        runners_.empty() ? n_together : std::max<int64_t>(n_together, runners_[0].n_robots());
    runners_.clear();
    for (int64_t i = 0; i < n_runners; ++i) {
      runners_.emplace_back(*model_, sampler_, plan_, static_cast<int32_t>(n_each));
    }
  }
  std::vector<ControlCounts> counts(n_parts);
  const auto run_part = [&](int64_t i_part) {
    const int64_t end = n_robots * (i_part + 1) / n_parts;
    for (int64_t i = n_robots * i_part / n_parts; i < end; i += n_together) {
      runners_[i_part].run(robots.subspan(i, std::min(n_together, end - i)), observer_,
                           counts[i_part]);
    }
  };
  if (n_parts == 1) {
    run_part(0);
  } else {
    run_on_pool(backend_, [&](int32_t i_thread, int32_t /*n_threads*/) {
      if (i_thread < n_parts) run_part(i_thread);
    });
  }
  for (const ControlCounts& one : counts) counts_.add_work(one);
}

}  // namespace reprise
