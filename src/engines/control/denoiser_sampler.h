#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engines/control/noise_schedule.h"

namespace reprise {

// Which denoiser steps make actions of noise: the value of --sampler.
struct SamplerSpec {
  enum class Kind : uint8_t {
    kDdpm,      // every training timestep; Ho et al., arXiv 2006.11239
    kDdim,      // fewer, without noise (eta 0); Song et al., arXiv 2010.02502
    kRespaced,  // DDPM with fewer; Nichol and Dhariwal, arXiv 2102.09672, section 4
  };
  enum class Spacing : uint8_t {
    kLeading,   // (n-1)r, ..., r, 0 with r = floor(train / n): the first step is not the noisiest
    kTrailing,  // from the noisiest on: round(train - i train/n) - 1
  };
  Kind kind = Kind::kDdpm;
  int32_t n_steps = 100;
  Spacing spacing = Spacing::kLeading;

  // "ddpm", "ddim:steps=N" or "respaced:steps=N", the latter two also with spacing=trailing. Throws
  // Error on anything else, and on more steps than the model was trained with.
  static SamplerSpec parse(std::string_view text, const NoiseScheduleSpec& noise);
  // What parse() reads.
  std::string text() const;
  bool operator==(const SamplerSpec&) const = default;
};

// The arithmetic of one sampler, in F32 and in the order of the diffusers library. Immutable.
class ActionSampler {
 public:
  // Throws Error on an unknown schedule or prediction, on unclipped samples (without clipping F32
  // loses everything at the noisiest timestep, where it would be multiplied by 2,029), and on a
  // number of steps outside 1..train.
  ActionSampler(const SamplerSpec& spec, const NoiseScheduleSpec& noise);

  const SamplerSpec& spec() const { return spec_; }
  int32_t n_steps() const { return static_cast<int32_t>(timesteps_.size()); }
  // Of the network at each step, falling.
  std::span<const int32_t> timesteps() const { return timesteps_; }
  // Whether step i adds noise.
  bool needs_noise(int32_t i_step) const;
  // x of step i_step to x of the next one. y: the network's output for x; z: unit normal noise as
  // long as x, may be empty where none is needed.
  void step(int32_t i_step, std::span<const float> y, std::span<float> x,
            std::span<const float> z) const;
  // What known normalised actions are at step i_step's noise level: for inpainting, before the
  // network is asked. Source: RePaint, arXiv 2201.09865, equation 8a.
  void diffuse(int32_t i_step, std::span<const float> actions, std::span<const float> z,
               std::span<float> x) const;

 private:
  // Of one step, all F32 as the library has them.
  struct Coefficients {
    float signal, noise;            // sqrt(acp), sqrt(1 - acp): of x at this timestep
    float clean, current, sigma;    // DDPM: of x0, x and z
    float next_signal, next_noise;  // DDIM: of x0 and epsilon
  };

  SamplerSpec spec_;
  bool predicts_noise_ = true;
  std::vector<int32_t> timesteps_;
  std::vector<Coefficients> steps_;
};

}  // namespace reprise
