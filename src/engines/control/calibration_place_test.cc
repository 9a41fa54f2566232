#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "core/error.h"
#include "engines/control/calibration_file.h"
#include "support/random_branches.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class CalibrationPlace : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* const value = std::getenv("XDG_DATA_HOME")) before_ = value;
    root_ = fs::temp_directory_path() / ("calibration_place_test." + std::to_string(getpid()));
    fs::create_directories(root_ / "models");
    setenv("XDG_DATA_HOME", (root_ / "data").c_str(), 1);
    model_ = (root_ / "models/demo.gguf").string();
    beside_ = (root_ / "models/demo.branch.gguf").string();
    in_data_ = (root_ / "data/reprise/demo.branch.gguf").string();
  }
  void TearDown() override {
    before_ ? setenv("XDG_DATA_HOME", before_->c_str(), 1) : unsetenv("XDG_DATA_HOME");
    fs::remove_all(root_);
  }

  static CalibrationRecord record(const std::string& sampler) {
    CalibrationRecord out{.subject = {.model = "demo",
                                      .model_hash = "00c0ffee00c0ffee",
                                      .sampler = sampler,
                                      .timesteps = {2, 1, 0},
                                      .n_layers = 1},
                          .n_calls = 1,
                          .seeds = {0},
                          .calibration = {}};
    out.calibration = test::random_calibration(out.subject.shape(), 1);
    return out;
  }
  static void put(const std::string& path, const std::string& sampler) {
    fs::create_directories(fs::path(path).parent_path());
    write_calibration(path, record(sampler));
  }
  std::string fault(const std::string& file, const std::string& sampler) const {
    try {
      load_calibration(file, model_, record(sampler).subject, BranchMetric::kCosine);
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  }

  std::optional<std::string> before_;
  fs::path root_;
  std::string model_, beside_, in_data_;
};

TEST_F(CalibrationPlace, IsBesideTheModelOrInTheDataFolder) {
  EXPECT_THAT(calibration_places(model_, "ddpm"), ElementsAre(beside_, in_data_));
  const std::pair<const char*, const char*> cases[] = {
      {"demo.gguf", "demo.branch.gguf"},
      {"a/demo.Q8_0.gguf", "a/demo.Q8_0.branch.gguf"},
      {"a/policy.safetensors", "a/policy.branch.gguf"},
      {"a/checkpoint", "a/checkpoint.branch.gguf"},
      {"a/checkpoint.v2/", "a/checkpoint.v2.branch.gguf"},
  };
  for (const auto& [model, want] : cases) {
    EXPECT_EQ(calibration_places(model, "ddpm").front(), want) << model;
  }
}

// So that measuring one sampler leaves the others' files alone.
TEST_F(CalibrationPlace, IsOneASampler) {
  const std::pair<const char*, const char*> cases[] = {
      {"ddim:steps=20", "demo.ddim-steps-20.branch.gguf"},
      {"ddim:steps=20,spacing=trailing", "demo.ddim-steps-20-spacing-trailing.branch.gguf"},
      {"respaced:steps=8", "demo.respaced-steps-8.branch.gguf"},
  };
  for (const auto& [sampler, want] : cases) {
    const std::string place = calibration_place(model_, sampler);
    EXPECT_EQ(place, (root_ / "models" / want).string());
    put(place, sampler);
  }
  put(calibration_place(model_, "ddpm"), "ddpm");
  for (const char* sampler : {"ddpm", "ddim:steps=20", "respaced:steps=8"})
    EXPECT_EQ(fault("", sampler), "accepted") << sampler;
}

TEST_F(CalibrationPlace, IsWrittenWhereThatIsAllowed) {
  EXPECT_EQ(calibration_place(model_, "ddpm"), beside_);
  // No folder is written as little as one that may not be; root may write all others.
  const std::string elsewhere = (root_ / "gone/demo.gguf").string();
  EXPECT_EQ(calibration_place(elsewhere, "ddpm"), in_data_);
  EXPECT_TRUE(fs::is_directory(root_ / "data/reprise"));
  fs::remove_all(root_ / "data");
  std::ofstream(root_ / "data") << "a file";
  try {
    calibration_place(elsewhere, "ddpm");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("may be written to none of " +
                                    (root_ / "gone/demo.branch.gguf").string() + ", " + in_data_));
  }
}

TEST_F(CalibrationPlace, LoadsTheFirstThatFits) {
  EXPECT_EQ(fault("", "ddpm"), "demo has no calibration (" + beside_ + ", " + in_data_ +
                                   "); make one: reprise calibrate demo --sampler ddpm");
  put(in_data_, "ddpm");
  EXPECT_EQ(fault("", "ddpm"), "accepted");
  // That of an installed model may be of an older one, and stay so.
  CalibrationRecord older = record("ddpm");
  older.subject.model_hash = "1badc0de1badc0de";
  write_calibration(beside_, older);
  EXPECT_EQ(fault("", "ddpm"), "accepted");
  fs::remove(in_data_);
  EXPECT_EQ(fault("", "ddpm"),
            beside_ +
                ": is of a model with hash 1badc0de1badc0de, demo has 00c0ffee00c0ffee; make it "
                "anew: reprise calibrate demo --sampler ddpm");
}

TEST_F(CalibrationPlace, LoadsTheOneThatHoldsTheMetric) {
  put(in_data_, "ddpm");
  CalibrationRecord one = record("ddpm");
  one.calibration.similarity.erase(BranchMetric::kL1);
  write_calibration(beside_, one);
  const CalibrationRecord found = load_calibration("", model_, one.subject, BranchMetric::kL1);
  EXPECT_TRUE(found.calibration.similarity.contains(BranchMetric::kL1));
  fs::remove(in_data_);
  try {
    load_calibration("", model_, one.subject, BranchMetric::kL1);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("measure all of them: reprise calibrate demo --sampler ddpm "
                                    "--metric cosine --metric mse --metric l2 --metric l1"));
  }
}

TEST_F(CalibrationPlace, TakesTheFileThatTheUserNamed) {
  put(beside_, "ddpm");
  const std::string own = (root_ / "own.gguf").string();
  EXPECT_THAT(fault(own, "ddpm"), HasSubstr(own));
  put(own, "ddpm");
  EXPECT_EQ(fault(own, "ddpm"), "accepted");
  put(own, "ddim:steps=3");
  EXPECT_THAT(fault(own, "ddpm"), HasSubstr(own + ": is of sampler ddim:steps=3, not ddpm"));
}

}  // namespace
}  // namespace reprise
