#pragma once

#include <cstdint>
#include <string>

namespace reprise {

// Where and with what a bench ran.
struct Machine {
  std::string cpu;
  int32_t n_cores = 0;  // this process may use
  int64_t memory_bytes = 0;
  std::string kernel;
  std::string compiler;
  std::string ggml;  // version and commit
  std::string
      commit;  // of this source when it was built, "-dirty" behind a changed one; may be empty
  std::string date;  // now, UTC: 2025-11-24T20:00:00Z
};

// What cannot be found out stays empty or 0.
Machine this_machine();

}  // namespace reprise
