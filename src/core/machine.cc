#include "core/machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <thread>

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

Machine this_machine() {
  Machine machine;
  machine.cpu = proc_value("/proc/cpuinfo", "model name");
  machine.n_cores = static_cast<int32_t>(std::thread::hardware_concurrency());
  machine.memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
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
