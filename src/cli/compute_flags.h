#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "core/backend.h"
#include "nets/decoder_model.h"

namespace reprise {

// How a verb that runs a model computes.
struct ComputeFlags {
  int32_t n_threads = 0;  // 0: all cores
  std::string weights = "auto";
  std::string mmap = "auto";
  std::string device = "cpu";  // Device::parse takes it

  WeightUse weight_use() const;
  // Throws Error when the device is not there.
  Backend backend() const;
  // Where that backend finds a model's weights.
  WeightPlace weight_place(const Backend& backend) const;
};

void add_compute_flags(CLI::App& verb, ComputeFlags& flags);

}  // namespace reprise
