#include "engines/control/denoiser_sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/printable.h"
#include "policies/options.h"

namespace reprise {
namespace {

using Kind = SamplerSpec::Kind;
using Spacing = SamplerSpec::Spacing;

constexpr std::array<std::string_view, 3> kNames = {"ddpm", "ddim", "respaced"};  // by Kind

void check_steps(int32_t n_steps, int32_t n_train) {
  if (n_steps < 1 || n_steps > n_train) {
    throw Error(
        fmt::format("sampler: {} steps, but the model was trained with {} timesteps; give "
                    "steps=N with N in 1..{}",
                    n_steps, n_train, n_train));
  }
}

std::vector<int32_t> make_timesteps(const SamplerSpec& spec, int32_t n_train) {
  std::vector<int32_t> timesteps(spec.n_steps);
  for (int32_t i = 0; i < spec.n_steps; ++i) {
    if (spec.spacing == Spacing::kLeading) {
      timesteps[i] = (spec.n_steps - 1 - i) * (n_train / spec.n_steps);
    } else {
      // To the nearest, halves to even, as NumPy rounds for the library.
      const double place = n_train - i * (static_cast<double>(n_train) / spec.n_steps);
      timesteps[i] = static_cast<int32_t>(std::nearbyint(place)) - 1;
    }
  }
  return timesteps;
}

}  // namespace

SamplerSpec SamplerSpec::parse(std::string_view text, const NoiseScheduleSpec& noise) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const auto* const at = std::ranges::find(kNames, name);
  if (at == kNames.end()) {
    throw Error(
        fmt::format("--sampler {}: no such sampler{} give ddpm, ddim:steps=N or "
                    "respaced:steps=N",
                    printable(name), did_you_mean(name, kNames)));
  }
  SamplerSpec spec{.kind = static_cast<Kind>(at - kNames.begin()), .n_steps = noise.n_train_steps};
  const std::string where = fmt::format("--sampler {}", name);
  if (spec.kind == Kind::kDdpm) {
    if (colon != std::string_view::npos) {
      throw Error(
          fmt::format("{}: it has no options, for it takes all {} timesteps of the model; "
                      "fewer are respaced:steps=N or ddim:steps=N",
                      where, noise.n_train_steps));
    }
    return spec;
  }
  const std::array<OptionSpec, 2> options = {
      int_option("steps", noise.n_train_steps, 1, noise.n_train_steps, "denoiser steps a chunk"),
      choice_option("spacing", {"leading", "trailing"},
                    "leading ends at timestep 0, trailing starts at the noisiest")};
  const Options given(where, options, rest);
  if (!given.is_given("steps")) {
    throw Error(fmt::format("{}: steps=N is missing; give {}:steps=10, for example", where, name));
  }
  spec.n_steps = given.i32("steps");
  if (given.choice("spacing") == "trailing") spec.spacing = Spacing::kTrailing;
  return spec;
}

std::string SamplerSpec::text() const {
  const std::string_view name = kNames[static_cast<size_t>(kind)];
  if (kind == Kind::kDdpm) return std::string(name);
  return fmt::format("{}:steps={}{}", name, n_steps,
                     spacing == Spacing::kTrailing ? ",spacing=trailing" : "");
}

ActionSampler::ActionSampler(const SamplerSpec& spec, const NoiseScheduleSpec& noise)
    : spec_(spec) {
  const NoiseSchedule schedule = make_noise_schedule(noise);
  if (noise.prediction != "epsilon" && noise.prediction != "sample") {
    throw Error(fmt::format("the model predicts '{}'; 'epsilon' and 'sample' are possible",
                            printable(noise.prediction)));
  }
  predicts_noise_ = noise.prediction == "epsilon";
  if (!noise.clips_sample) {
    throw Error(
        "the model's scheduler does not clip samples; only clip_sample = true is possible, since "
        "F32 is too coarse without it");
  }
  check_steps(spec.n_steps, schedule.n_timesteps());
  if (spec.kind == Kind::kDdpm && spec.n_steps != schedule.n_timesteps()) {
    throw Error(fmt::format("sampler: ddpm takes all {} timesteps, not {}; give respaced:steps={}",
                            schedule.n_timesteps(), spec.n_steps, spec.n_steps));
  }
  timesteps_ = make_timesteps(spec, schedule.n_timesteps());
  for (size_t i = 0; i < timesteps_.size(); ++i) {
    const float acp = schedule.acp[timesteps_[i]];
    const float next = i + 1 < timesteps_.size() ? schedule.acp[timesteps_[i + 1]] : 1.0F;
    const float alpha = acp / next;  // over the whole gap between the two timesteps
    const float beta = 1 - alpha;
    const bool is_last = i + 1 == timesteps_.size();
    const float variance = std::max((1 - next) / (1 - acp) * beta, 1e-20F);
    steps_.push_back({.signal = std::sqrt(acp),
                      .noise = std::sqrt(1 - acp),
                      .clean = std::sqrt(next) * beta / (1 - acp),
                      .current = std::sqrt(alpha) * (1 - next) / (1 - acp),
                      .sigma = is_last ? 0.0F : std::sqrt(variance),
                      .next_signal = std::sqrt(next),
                      .next_noise = std::sqrt(1 - next)});
  }
}

bool ActionSampler::needs_noise(int32_t i_step) const {
  return spec_.kind != Kind::kDdim && i_step + 1 < n_steps();
}

void ActionSampler::step(int32_t i_step, std::span<const float> y, std::span<float> x,
                         std::span<const float> z) const {
  assert(y.size() == x.size() && (!needs_noise(i_step) || z.size() == x.size()));
  const Coefficients& c = steps_[i_step];
  const bool adds_noise = needs_noise(i_step);
  for (size_t i = 0; i < x.size(); ++i) {
    const float x0 = predicts_noise_ ? (x[i] - c.noise * y[i]) / c.signal : y[i];
    const float clipped = std::clamp(x0, -1.0F, 1.0F);
    if (spec_.kind == Kind::kDdim) {
      // The network's noise as it is, not the one that clipping would imply.
      const float epsilon = predicts_noise_ ? y[i] : (x[i] - c.signal * x0) / c.noise;
      x[i] = c.next_signal * clipped + c.next_noise * epsilon;
    } else {
      x[i] = c.clean * clipped + c.current * x[i];
      if (adds_noise) x[i] += c.sigma * z[i];
    }
  }
}

void ActionSampler::diffuse(int32_t i_step, std::span<const float> actions,
                            std::span<const float> z, std::span<float> x) const {
  assert(actions.size() == x.size() && z.size() == x.size());
  const Coefficients& c = steps_[i_step];
  for (size_t i = 0; i < x.size(); ++i) x[i] = c.signal * actions[i] + c.noise * z[i];
}

}  // namespace reprise
