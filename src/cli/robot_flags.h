#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "core/backend.h"
#include "engines/control/diffusion_policy.h"
#include "nets/policy_transformer_model.h"

namespace reprise {

// Flags that every verb takes which runs a robot policy.
struct RobotFlags {
  std::string model;
  std::string env;  // empty: the one the model was trained in
  std::string branch = "full";
  std::string sampler = "ddpm";
  std::string weights = "as-is";
  int32_t n_threads = 0;  // 0: all cores
  bool is_exact = false;

  // What --branch asks for, `full` with --exact.
  std::string policy_text() const { return is_exact ? "full" : branch; }
  PolicyWeights weight_type() const;
  Backend backend() const;
};

void add_robot_flags(CLI::App& verb, RobotFlags& flags);

// A model with what the flags choose. Throws Error: no such model or none of a robot, none of an
// environment that is here, a bad sampler or policy, a calibration that is missing or foreign.
struct LoadedRobot {
  LoadedRobot(const RobotFlags& flags, const Backend& backend);

  std::shared_ptr<const PolicyTransformerModel> model;
  std::string sampler;  // as SamplerSpec::text() has it
  std::unique_ptr<DiffusionPolicy> policy;
};

}  // namespace reprise
