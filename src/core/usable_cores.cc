#include "core/usable_cores.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <thread>
#include <vector>

namespace reprise {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// Processors of the affinity mask, whose size the kernel alone knows.
std::vector<int32_t> own_processors() {
  constexpr int32_t kMost = 1 << 20;
  for (int32_t n = 1024; n <= kMost; n *= 2) {
    const size_t n_bytes = CPU_ALLOC_SIZE(n);
    std::vector<cpu_set_t> mask(n_bytes / sizeof(cpu_set_t) + 1);
    if (sched_getaffinity(0, n_bytes, mask.data()) != 0) {
      if (errno == EINVAL) continue;
      break;
    }
    std::vector<int32_t> processors;
    for (int32_t i = 0; i < n; ++i)
      if (CPU_ISSET_S(i, n_bytes, mask.data())) processors.push_back(i);
    return processors;
  }
  std::vector<int32_t> all(std::max(std::thread::hardware_concurrency(), 1U));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  return all;
}

// A processor whose siblings are unknown has a core of its own.
int32_t n_physical(std::span<const int32_t> processors, const std::string& cpus) {
  std::set<std::string> cores;
  for (const int32_t i : processors) {
    std::ifstream file(fmt::format("{}/cpu{}/topology/thread_siblings_list", cpus, i));
    std::string siblings;  // "0,64" in the file of both
    if (!(file >> siblings)) siblings = fmt::format("of cpu{}", i);
    cores.insert(siblings);
  }
  return static_cast<int32_t>(cores.size());
}

// Cores that one group's files grant.
double quota_of(const std::string& folder) {
  double quota = -1;
  double period = 0;
  std::ifstream two(folder + "cpu.max");  // "150000 100000", or "max 100000"
  if (two >> quota >> period) return period > 0 ? quota / period : kUnlimited;
  std::ifstream quota_file(folder + "cpu.cfs_quota_us");  // -1: none
  std::ifstream period_file(folder + "cpu.cfs_period_us");
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0)
    return quota / period;
  return kUnlimited;
}

// The least of a group's and of those above it. A container may see its own group's files in the
// place of the root's, under a path that is not there: those are looked at last.
double quota_up_from(const std::string& root, std::string path) {
  double least = kUnlimited;
  for (;;) {
    least = std::min(least, quota_of(root + path + "/"));
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

// Whether the list "cpu,cpuacct" has the word "cpu".
bool has_cpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

double own_quota(const CoreSources& sources) {
  double least = kUnlimited;
  std::ifstream file(sources.own_cgroups);
  for (std::string line; std::getline(file, line);) {  // "4:cpu,cpuacct:/path"; version 2: "0::/"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (path.find("..") != std::string::npos) continue;  // a group that is not in sight
    std::vector<std::string> roots;
    if (controllers.empty()) {
      roots = {"", "/unified"};
    } else if (has_cpu(controllers)) {
      roots = {"/" + controllers, "/cpu"};
    }
    for (const std::string& root : roots)
      least = std::min(least, quota_up_from(sources.cgroups + root, path));
  }
  return least;
}

}  // namespace

int32_t usable_cores(std::span<const int32_t> processors, const CoreSources& sources) {
  const int32_t n = n_physical(processors, sources.cpus);
  const double quota = std::ceil(own_quota(sources));
  return std::max(quota < n ? static_cast<int32_t>(quota) : n, 1);
}

int32_t usable_cores() { return usable_cores(own_processors(), CoreSources()); }

}  // namespace reprise
