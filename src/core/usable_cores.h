#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace reprise {

// Where the system says what its processors are and how much of them a process may use. Tests give
// folders of their own.
struct CoreSources {
  std::string cpus = "/sys/devices/system/cpu";
  std::string cgroups = "/sys/fs/cgroup";
  std::string own_cgroups = "/proc/self/cgroup";
};

// How many cores this process may use, 1 at least:
// - of the processors of its affinity mask (taskset, cpusets) those that share a core count once:
//   two hardware threads share its vector units, which our kernels keep busy alone;
// - no more than the CPU quota of its cgroup and of those above it (version 2: cpu.max, version 1:
//   cpu.cfs_quota_us), rounded up: as the system stops all threads of a group together until its
//   next period, half a core more is half a core's work more.
int32_t usable_cores();
// The same of given processors.
int32_t usable_cores(std::span<const int32_t> processors, const CoreSources& sources);

}  // namespace reprise
