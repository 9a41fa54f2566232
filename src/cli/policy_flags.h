#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "core/backend.h"
#include "nets/policy_transformer_model.h"

namespace reprise {

// How a verb that runs a robot policy computes.
struct PolicyFlags {
  std::string model;
  int32_t n_threads = 0;  // 0: all cores
  std::string weights = "as-is";

  // Throws Error.
  std::shared_ptr<const PolicyTransformerModel> load() const;
  // The same, of a policy for Push-T. Throws Error on one for something else.
  std::shared_ptr<const PolicyTransformerModel> load_pusht() const;
  Backend backend() const;
};

// The positional MODEL, --threads and --weights.
void add_policy_flags(CLI::App& verb, PolicyFlags& flags);

}  // namespace reprise
