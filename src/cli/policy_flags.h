#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "core/backend.h"
#include "nets/policy_transformer_model.h"

namespace reprise {

// Which robot policy a verb works on, and how that computes.
struct PolicyFlags {
  std::string model;
  std::string env;  // empty: the one the model was trained in
  std::string weights = "as-is";
  int32_t n_threads = 0;  // 0: all usable cores

  // A policy for an environment that is here. Throws Error: no such model or none of a robot, or of
  // another environment.
  std::shared_ptr<const PolicyTransformerModel> load() const;
  // A policy for any environment. Throws Error likewise.
  std::shared_ptr<const PolicyTransformerModel> load_of_any_environment() const;
  Backend backend() const;
};

// The positional MODEL, --env, --weights and --threads.
void add_policy_flags(CLI::App& verb, PolicyFlags& flags);

}  // namespace reprise
