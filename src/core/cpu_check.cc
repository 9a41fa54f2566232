// Compiled without -march=native. Nothing here may be a template or inline function that other
// files instantiate as well, for the linker could take their copy: no strings, no containers.
#include "core/cpu_check.h"

#include <unistd.h>

#include <cstring>

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace reprise {
namespace {

#ifdef __x86_64__

// The registers whose contents the operating system saves; 0 when it manages none.
uint64_t xcr0() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr uint32_t kOsxsave = 1U << 27;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsxsave) == 0) return 0;
  __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return (static_cast<uint64_t>(edx) << 32) | eax;
}

bool has(const CpuFeature& feature) {
  uint32_t regs[4] = {};
  if (__get_cpuid_count(feature.leaf, feature.subleaf, &regs[0], &regs[1], &regs[2], &regs[3]) == 0)
    return false;
  return (regs[feature.reg] >> feature.bit & 1) != 0 &&
         (xcr0() & feature.os_state) == feature.os_state;
}

#else

bool has(const CpuFeature& /*feature*/) { return false; }  // no build lists any

#endif

void print(const char* text) {
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, text, std::strlen(text));
}

}  // namespace

void require_cpu(const CpuFeature* features) {
  bool is_whole = true;
  for (const CpuFeature* feature = features; feature->name != nullptr; ++feature) {
    if (has(*feature)) continue;
    if (is_whole) print("reprise: this program was built for a CPU with");
    is_whole = false;
    print(" ");
    print(feature->name);
  }
  if (is_whole) return;
  print(
      ", which this one lacks; build it here (make clean build), or for any CPU (cmake --preset "
      "release -DREPRISE_NATIVE=OFF, then make build)\n");
  _exit(1);
}

void check_cpu() { require_cpu(kCpuFeaturesOfBuild); }

namespace {

// 101 is the first place that a program may take among its constructors.
[[gnu::constructor(101)]] void check_cpu_first() { check_cpu(); }

}  // namespace
}  // namespace reprise
