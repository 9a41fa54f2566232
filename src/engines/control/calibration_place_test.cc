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
      load_calibration(file, model_, record(sampler).subject);
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
  EXPECT_THAT(calibration_places(model_), ElementsAre(beside_, in_data_));
  const std::pair<const char*, const char*> cases[] = {
      {"demo.gguf", "demo.branch.gguf"},
      {"a/demo.Q8_0.gguf", "a/demo.Q8_0.branch.gguf"},
      {"a/policy.safetensors", "a/policy.branch.gguf"},
      {"a/checkpoint", "a/checkpoint.branch.gguf"},
      {"a/checkpoint.v2/", "a/checkpoint.v2.branch.gguf"},
  };
  for (const auto& [model, want] : cases) {
    EXPECT_EQ(calibration_places(model).front(), want) << model;
  }
}

TEST_F(CalibrationPlace, IsWrittenWhereThatIsAllowed) {
  EXPECT_EQ(calibration_place(model_), beside_);
  // No folder is written as little as one that may not be; root may write all others.
  const std::string elsewhere = (root_ / "gone/demo.gguf").string();
  EXPECT_EQ(calibration_place(elsewhere), in_data_);
  EXPECT_TRUE(fs::is_directory(root_ / "data/reprise"));
  fs::remove_all(root_ / "data");
  std::ofstream(root_ / "data") << "a file";
  try {
    calibration_place(elsewhere);
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
  // That of an installed model may be of another sampler, and stay so.
  put(beside_, "ddim:steps=3");
  EXPECT_EQ(fault("", "ddpm"), "accepted");
  EXPECT_EQ(fault("", "ddim:steps=3"), "accepted");
  EXPECT_EQ(fault("", "respaced:steps=3"),
            beside_ +
                ": is of sampler ddim:steps=3, not respaced:steps=3; make it anew: reprise "
                "calibrate demo --sampler respaced:steps=3");
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
