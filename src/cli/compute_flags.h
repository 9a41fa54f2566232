#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "core/backend.h"

namespace reprise {

// How a verb that runs a model computes.
struct ComputeFlags {
  int32_t n_threads = 0;  // 0: all cores
  std::string weights = "expand";

  WeightUse weight_use() const;
};

constexpr int32_t kMostThreads = 512;  // that a Backend takes

// --threads alone; n_threads stays as it is when the flag is not given.
void add_threads_flag(CLI::App& verb, int32_t& n_threads);
void add_compute_flags(CLI::App& verb, ComputeFlags& flags);

}  // namespace reprise
