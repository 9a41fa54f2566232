#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "core/backend.h"

namespace reprise {

// How a verb that runs a model computes.
struct ComputeFlags {
  int32_t n_threads = 0;  // 0: all cores
  std::string weights = "auto";

  WeightUse weight_use() const;
};

void add_compute_flags(CLI::App& verb, ComputeFlags& flags);

}  // namespace reprise
