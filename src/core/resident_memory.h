#pragma once

#include <cstdint>

namespace reprise {

// Memory of this process that stands in RAM, mapped files included, in bytes.
struct ResidentMemory {
  int64_t now = 0;
  int64_t peak = 0;  // since the last reset, or since the start
};

// Zeros where /proc does not tell.
ResidentMemory resident_memory();
// Memory that the system could give to programs now, in bytes; 0 where /proc does not tell.
int64_t available_memory();
// The peak counts from now on. False when the kernel refuses.
bool reset_peak_resident();

}  // namespace reprise
