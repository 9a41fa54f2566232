#include "core/resident_memory.h"

#include <cstdlib>
#include <fstream>
#include <string>

namespace reprise {

ResidentMemory resident_memory() {
  ResidentMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const auto kib = [&] { return 1024 * std::atoll(line.c_str() + line.find(':') + 1); };
    if (line.starts_with("VmRSS:")) memory.now = kib();
    if (line.starts_with("VmHWM:")) memory.peak = kib();
  }
  return memory;
}

int64_t available_memory() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("MemAvailable:"))
      return 1024 * std::atoll(line.c_str() + line.find(':') + 1);
  }
  return 0;
}

bool reset_peak_resident() {
  std::ofstream refs("/proc/self/clear_refs");
  refs << "5";  // proc(5): reset the peak resident set size
  refs.close();
  return !refs.fail();
}

}  // namespace reprise
