#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"
#include "engines/text_model.h"

namespace reprise {

// How a verb that runs a model computes.
struct ComputeFlags {
  int32_t n_threads = 0;  // 0: all usable cores
  std::string weights = "auto";
  std::string mmap = "auto";
  std::string device = "cpu";  // Device::parse takes it

  WeightUse weight_use() const { return weight_word(weights).use; }
  // Throws Error when the device is not there.
  Backend backend() const;
  // A model with its weights where that backend finds them. Throws Error.
  std::shared_ptr<const TextModel> load(const std::string& model, const Backend& backend,
                                        TextKind kind = TextKind::kCausal) const;
};

// Takes the words of --weights.
CLI::Validator weight_word_check();
// As many threads as are started when so many are asked for, Backend::useful_threads(); a note
// where those are fewer.
int32_t started_threads(int32_t wanted);
// --threads alone; n_threads stays as it is when the flag is not given.
void add_threads_flag(CLI::App& verb, int32_t& n_threads);
// --threads-list, likewise.
void add_thread_list_flag(CLI::App& verb, std::vector<int32_t>& counts);
void add_compute_flags(CLI::App& verb, ComputeFlags& flags);

}  // namespace reprise
