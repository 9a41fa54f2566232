#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "core/backend.h"

namespace reprise {

// How a verb that runs a model computes.
struct ComputeFlags {
  int32_t n_threads = 0;  // 0: all cores
  std::string weights = "expand";

  WeightUse weight_use() const;
};

// --threads alone; n_threads stays as it is when the flag is not given.
void add_threads_flag(CLI::App& verb, int32_t& n_threads);
// --threads-list, likewise.
void add_thread_list_flag(CLI::App& verb, std::vector<int32_t>& counts);
void add_compute_flags(CLI::App& verb, ComputeFlags& flags);

}  // namespace reprise
