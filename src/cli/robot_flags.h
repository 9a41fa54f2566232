#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cli/policy_flags.h"
#include "engines/control/diffusion_policy.h"

namespace reprise {

// Flags of a verb that drives a robot.
struct RobotFlags {
  PolicyFlags policy;
  std::string branch = "full";
  std::string sampler = "ddpm";
  bool is_exact = false;

  // What --branch asks for, `full` with --exact.
  std::string branch_text() const { return is_exact ? "full" : branch; }
};

void add_robot_flags(CLI::App& verb, RobotFlags& flags);

// A model with what the flags choose. Throws Error as PolicyFlags::load(), and on a bad sampler or
// policy and a calibration that is missing or foreign.
struct LoadedRobot {
  LoadedRobot(const RobotFlags& flags, const Backend& backend);

  std::shared_ptr<const PolicyTransformerModel> model;
  std::string sampler;  // as SamplerSpec::text() has it
  std::unique_ptr<DiffusionPolicy> policy;

  // Another of the same model and sampler that computes everything.
  std::unique_ptr<DiffusionPolicy> exact_policy(const Backend& backend) const;
};

}  // namespace reprise
