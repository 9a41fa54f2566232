#include <gtest/gtest.h>

#include "support/pusht_conformance.h"

namespace reprise {
namespace {

TEST(PushtConformance, NamedMotionsAreChipmunks) {
  for (const NamedMotion& motion : named_motions()) {
    EXPECT_LE(motion_difference(motion), 1e-6) << motion.name;
  }
}

// The bench runs 100, of which 97 have to.
TEST(PushtConformance, TheExpertsEpisodesAreChipmunks) {
  const ConformanceReport report = pusht_conformance(10);
  EXPECT_GE(report.share_within_1e6, 0.9);
  EXPECT_EQ(report.replayed_success_share, 1);
}

}  // namespace
}  // namespace reprise
