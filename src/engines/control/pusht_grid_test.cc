#include "engines/control/pusht_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "engines/control/chosen_branch.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const PolicyTransformerModel> demo_model() {
  static const auto model =
      PolicyTransformerModel::load(REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf");
  return model;
}

std::vector<std::string> names(const std::vector<PushtMethod>& methods) {
  std::vector<std::string> out;
  for (const PushtMethod& method : methods) out.push_back(method.name());
  return out;
}

TEST(ChosenBranch, LoadsTheCalibrationWhereItIsNeeded) {
  const SamplerSpec ddpm = SamplerSpec::parse("ddpm", demo_model()->noise);
  const ChosenBranch uniform = choose_branch("uniform:every=10", *demo_model(), ddpm);
  EXPECT_FALSE(uniform.calibration);
  EXPECT_EQ(uniform.schedule.n_computed(), 10 * 24);
  const ChosenBranch bac = choose_branch("bac:updates=10,bubbling=0", *demo_model(), ddpm);
  ASSERT_TRUE(bac.calibration);
  EXPECT_EQ(bac.calibration->subject.model_hash, demo_model()->hash);
  // Ten steps of each branch, and the last one where it is not among them.
  EXPECT_GE(bac.schedule.n_computed(), 10 * 24);
  EXPECT_LE(bac.schedule.n_computed(), 11 * 24);
}

TEST(ChosenBranch, NamesTheCommandWhereThereIsNoCalibration) {
  const SamplerSpec ddim = SamplerSpec::parse("ddim:steps=10", demo_model()->noise);
  try {
    choose_branch("bac:updates=5", *demo_model(), ddim);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("reprise calibrate"));
    EXPECT_THAT(error.what(), HasSubstr("ddim:steps=10"));
  }
}

TEST(PushtMethods, AreAllCombinationsAfterFull) {
  EXPECT_THAT(
      names(pusht_methods(*demo_model(), {"ddpm", "ddim:steps=10"}, {"full", "uniform:every=2"})),
      testing::ElementsAre("ddpm full", "ddpm uniform:every=2", "ddim:steps=10 full",
                           "ddim:steps=10 uniform:every=2"));
  EXPECT_THROW(pusht_methods(*demo_model(), {"ddpn"}, {"full"}), Error);
  EXPECT_THROW(pusht_methods(*demo_model(), {"ddpm"}, {"bat"}), Error);
}

TEST(PushtTable, HasEveryControlOfBac) {
  const Backend backend(1);
  const std::vector<float> observation(2 * 18, 200.0F);
  const std::vector<PushtMethod> methods =
      pusht_table_methods(demo_model(), backend, observation, [] {});
  const std::vector<std::string> found = names(methods);
  EXPECT_EQ(found.front(), "ddpm full");
  EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(), found.size());
  for (const char* wanted :
       {"ddpm uniform:updates=10", "ddpm uniform:updates=10,force_last=true",
        "ddpm unified:updates=10", "ddpm block_acs:updates=5", "ddpm joint:updates=20",
        "ddpm bac:updates=10,bubbling=5", "ddpm bac:updates=5,bubbling=3",
        "ddpm lowest_consecutive:updates=10"}) {
    EXPECT_THAT(found, testing::Contains(wanted));
  }
  // As many evaluations as each BAC method has: both samplers, not from a step halfway, and
  // schedules of all or nothing.
  for (const PushtMethod& method : methods) {
    if (!method.branch.starts_with("bac")) continue;
    const double evaluations = static_cast<double>(method.schedule.n_computed()) / 24;
    for (const auto kind : {SamplerSpec::Kind::kRespaced, SamplerSpec::Kind::kDdim}) {
      EXPECT_TRUE(std::ranges::any_of(methods, [&](const PushtMethod& other) {
        return other.sampler.kind == kind && std::abs(other.sampler.n_steps - evaluations) <= 0.5 &&
               (100 % other.sampler.n_steps == 0 ||
                other.sampler.spacing == SamplerSpec::Spacing::kTrailing);
      })) << method.name();
    }
    for (const char* kind : {"uniform:every", "joint"}) {
      EXPECT_TRUE(std::ranges::any_of(methods,
                                      [&](const PushtMethod& other) {
                                        const double n =
                                            static_cast<double>(other.schedule.n_computed()) / 24;
                                        return other.branch.starts_with(kind) &&
                                               std::abs(n - evaluations) <= 0.15 * evaluations;
                                      }))
          << method.name() << kind;
    }
  }
}

}  // namespace
}  // namespace reprise
