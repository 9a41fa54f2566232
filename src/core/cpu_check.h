#pragma once

#include <cstdint>

namespace reprise {

// A feature of x86 CPUs, as CPUID tells it.
struct CpuFeature {
  const char* name;  // as the compiler's flags spell it; null ends a list
  uint32_t leaf, subleaf;
  uint32_t reg;       // 0 to 3: eax, ebx, ecx, edx
  uint32_t bit;       // of that register
  uint64_t os_state;  // bits of XCR0: registers that the operating system must save
};

// What the compiler might use in this build, in cpu_features.cc.
extern const CpuFeature kCpuFeaturesOfBuild[];

// Ends the process with exit code 1 and one line that names what this machine lacks of `features`.
void require_cpu(const CpuFeature* features);

// Requires the features of this build. A program that calls it from main has it run before every
// static constructor as well, which may already contain the first instruction of the wrong kind.
void check_cpu();

}  // namespace reprise
