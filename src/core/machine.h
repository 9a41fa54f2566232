#pragma once

#include <cstdint>
#include <string>

namespace reprise {

// Where and with what a bench ran.
struct Machine {
  std::string cpu;
  int32_t n_cores = 0;  // this process may use (core/usable_cores)
  int64_t memory_bytes = 0;
  int64_t last_cache_bytes = 0;   // see below
  int64_t read_buffer_bytes = 0;  // over which a bench measured the reading of memory, if it did
  std::string kernel;
  std::string compiler;
  std::string ggml;  // version and commit
  std::string
      commit;  // of this source when it was built, "-dirty" behind a changed one; may be empty
  std::string date;  // now, UTC: 2025-11-24T20:00:00Z
};

// What cannot be found out stays empty or 0.
Machine this_machine();

// Of the last cache before memory, as the system tells it of its first processor; a virtual machine
// may name all of its host's. 0: it does not tell. `cpus`: the folder where it does.
int64_t last_cache_bytes(const std::string& cpus = "/sys/devices/system/cpu");

}  // namespace reprise
