#include "core/machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "core/usable_cores.h"
#include "ggml.h"
#include "git_commit.h"

namespace reprise {
namespace {

// The value of the first line "name : value" of a file in /proc.
std::string proc_value(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const size_t colon = line.find(':');
    const size_t at = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (at != std::string::npos) return line.substr(at);
  }
  return "";
}

}  // namespace

int64_t last_cache_bytes(const std::string& cpus) {
  int64_t n_bytes = 0;
  int32_t highest = 0;
  for (int32_t i = 0;; ++i) {
    const std::string cache = fmt::format("{}/cpu0/cache/index{}/", cpus, i);
    int32_t level = 0;
    int64_t size = 0;
    std::string unit;
    std::ifstream level_file(cache + "level");
    std::ifstream size_file(cache + "size");  // "32768K"
    if (!(level_file >> level) || !(size_file >> size)) return n_bytes;
    size_file >> unit;
    if (level <= highest) continue;
    highest = level;
    n_bytes = size << (unit == "K" ? 10 : unit == "M" ? 20 : 0);
  }
}

Machine this_machine() {
  Machine machine;
  machine.cpu = proc_value("/proc/cpuinfo", "model name");
  machine.n_cores = usable_cores();
  machine.memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  machine.last_cache_bytes = last_cache_bytes();
  utsname kernel{};
  if (uname(&kernel) == 0) {
    machine.kernel = fmt::format("{} {} {}", kernel.sysname, kernel.release, kernel.machine);
  }
#ifdef __clang__
  machine.compiler = __VERSION__;  // begins with the compiler's name
#else
  machine.compiler = "GCC " __VERSION__;
#endif
  machine.ggml = fmt::format("{} ({})", ggml_version(), ggml_commit());
  machine.commit = REPRISE_GIT_COMMIT;
  machine.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  return machine;
}

}  // namespace reprise
