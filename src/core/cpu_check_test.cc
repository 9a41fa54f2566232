#include "core/cpu_check.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace reprise {
namespace {

// Bits that CPUID never sets: beyond its last leaf, and a reserved one.
constexpr CpuFeature kBeyond = {"beyond", 0x00FFFFFF, 0, 0, 0, 0};
constexpr CpuFeature kReserved = {"reserved", 7, 0, 3, 0, 0};
constexpr CpuFeature kEnd = {nullptr, 0, 0, 0, 0, 0};

TEST(CpuCheck, PassesOnTheMachineOfTheBuild) {
  check_cpu();
  require_cpu(&kEnd);
}

TEST(CpuCheck, ListsEachFeatureOnce) {
  std::set<std::string> names;
  for (const CpuFeature* f = kCpuFeaturesOfBuild; f->name != nullptr; ++f) {
    EXPECT_TRUE(names.insert(f->name).second) << f->name;
    EXPECT_LT(f->reg, 4U);
    EXPECT_LT(f->bit, 32U);
  }
#ifdef __AVX2__
  EXPECT_EQ(names.count("avx2"), 1U);
#endif
}

#ifdef __x86_64__
TEST(CpuCheckDeathTest, NamesWhatIsMissingInOneLine) {
  constexpr CpuFeature kSse2 = {"sse2", 1, 0, 3, 26, 0};  // every x86-64 has it
  constexpr CpuFeature kNoState = {"no-state", 1, 0, 3, 26, uint64_t{1} << 62};
  const CpuFeature wanted[] = {kSse2, kBeyond, kReserved, kNoState, kEnd};
  EXPECT_EXIT(require_cpu(wanted), testing::ExitedWithCode(1),
              "^reprise: this program was built for a CPU with beyond reserved no-state, which "
              "this one lacks; build it here [^\n]*REPRISE_NATIVE=OFF[^\n]*\n$");
}
#endif

}  // namespace
}  // namespace reprise
