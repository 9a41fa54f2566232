#include "engines/control/calibration_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/gguf_file.h"
#include "support/random_branches.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kCommand = "reprise calibrate demo --sampler ddim:steps=8";
const std::string kAnew = std::string("; make it anew: ") + kCommand;

CalibrationRecord small_record() {
  CalibrationRecord record{.subject = {.model = "demo",
                                       .model_hash = "00c0ffee00c0ffee",
                                       .sampler = "ddim:steps=8",
                                       .timesteps = {91, 78, 65, 52, 39, 26, 13, 0},
                                       .n_layers = 2},
                           .n_calls = 16,
                           .seeds = {0, 7, std::numeric_limits<uint64_t>::max()},
                           .calibration = {}};
  record.calibration = test::random_calibration(record.subject.shape(), 1);
  return record;
}

class CalibrationFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("calibration_file_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
    path_ = (folder_ / "demo.branch.gguf").string();
    write_calibration(path_, record_);
    bytes_ = read_file(path_, size_t{1} << 20);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string fault(const CalibrationSubject& subject) const {
    try {
      read_calibration(path_, subject);
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  }
  std::string fault() const { return fault(record_.subject); }
  std::string fault_of_another(const std::function<void(CalibrationSubject&)>& change) const {
    CalibrationSubject subject = record_.subject;
    change(subject);
    return fault(subject);
  }
  // What reading says when the bytes `n_behind` behind a text of the header are these.
  template <typename T>
  std::string fault_with(const std::string& text, size_t n_behind, T value) const {
    const size_t at = bytes_.find(text);
    EXPECT_NE(at, std::string::npos) << text;
    return fault_at(at + text.size() + n_behind, value);
  }
  template <typename T>
  std::string fault_at(size_t at, T value) const {
    std::string bytes = bytes_;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return fault_of(bytes);
  }
  std::string fault_of(const std::string& bytes) const {
    write_file(path_, std::as_bytes(std::span(bytes)));
    return fault();
  }
  // Of pair i of branch b, in the file.
  size_t offset_of(const std::string& tensor, size_t b, size_t i) const {
    const GgufFile file = GgufFile::parse(path_, std::as_bytes(std::span(bytes_)));
    return file.find(tensor)->offset + (b * 36 + i) * sizeof(float);
  }

  const CalibrationRecord record_ = small_record();
  fs::path folder_;
  std::string path_, bytes_;
};

void expect_equal(const CalibrationRecord& got, const CalibrationRecord& want) {
  EXPECT_EQ(got.subject.model_hash, want.subject.model_hash);
  EXPECT_EQ(got.subject.sampler, want.subject.sampler);
  EXPECT_EQ(got.subject.timesteps, want.subject.timesteps);
  EXPECT_EQ(got.subject.n_layers, want.subject.n_layers);
  EXPECT_EQ(got.n_calls, want.n_calls);
  EXPECT_EQ(got.seeds, want.seeds);
  EXPECT_EQ(got.calibration.shape, want.calibration.shape);
  EXPECT_EQ(got.calibration.similarity, want.calibration.similarity);
  EXPECT_EQ(got.calibration.volatility, want.calibration.volatility);
}

TEST_F(CalibrationFile, ReadsBackWhatWasWritten) {
  expect_equal(read_calibration(path_, record_.subject), record_);
  CalibrationRecord one = record_;
  one.calibration.similarity.clear();
  one.calibration.similarity[BranchMetric::kMse] =
      record_.calibration.similarity.at(BranchMetric::kMse);
  write_calibration(path_, one);
  expect_equal(read_calibration(path_, one.subject), one);
}

TEST_F(CalibrationFile, ReadsBackOneStepOfOneLayer) {
  CalibrationRecord tiny = record_;
  tiny.subject.timesteps = {0};
  tiny.subject.n_layers = 1;
  tiny.calibration = test::random_calibration({.n_layers = 1, .n_steps = 1}, 1);
  write_calibration(path_, tiny);
  expect_equal(read_calibration(path_, tiny.subject), tiny);
}

TEST_F(CalibrationFile, RefusesAnotherSubject) {
  EXPECT_EQ(fault(), "accepted");
  EXPECT_EQ(
      fault_of_another([](CalibrationSubject& s) { s.model_hash = "1badc0de1badc0de"; }),
      path_ + ": is of a model with hash 00c0ffee00c0ffee, demo has 1badc0de1badc0de" + kAnew);
  EXPECT_EQ(fault_of_another([](CalibrationSubject& s) { s.sampler = "ddpm"; }),
            path_ +
                ": is of sampler ddim:steps=8, not ddpm; make it anew: reprise calibrate demo "
                "--sampler ddpm");
  EXPECT_EQ(fault_of_another([](CalibrationSubject& s) { s.timesteps.push_back(0); }),
            path_ + ": is of 8 steps, the sampler takes 9" + kAnew);
  EXPECT_EQ(fault_of_another([](CalibrationSubject& s) { s.timesteps[3] = 50; }),
            path_ + ": step 3 was measured at timestep 52, the sampler is at 50" + kAnew);
  EXPECT_EQ(fault_of_another([](CalibrationSubject& s) { s.n_layers = 3; }),
            path_ + ": is of 2 layers, demo has 3" + kAnew);
}

TEST_F(CalibrationFile, RefusesAFileThatIsNone) {
  fs::remove(path_);
  EXPECT_THAT(fault(), AllOf(StartsWith(path_ + ": "), HasSubstr("No such file"),
                             EndsWith(std::string("; make it: ") + kCommand)));
  EXPECT_THAT(fault_of("GGUF"), EndsWith(std::string("; or make it anew: ") + kCommand));
  for (const size_t n_cut : {size_t{1}, bytes_.size() / 2, bytes_.size() - 30}) {
    EXPECT_THAT(fault_of(bytes_.substr(0, bytes_.size() - n_cut)), EndsWith(kCommand)) << n_cut;
  }
}

// A command that is copied from an error must cure it, and destroy nothing.
TEST_F(CalibrationFile, AdvisesAboutAFileThatTheUserNamed) {
  const auto fault_for = [&](BranchMetric metric, const CalibrationSubject& subject) {
    try {
      read_calibration(path_, subject, {.metric = metric, .is_named = true});
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  using enum BranchMetric;
  EXPECT_EQ(fault_for(kL2, record_.subject), "accepted");
  CalibrationRecord one = record_;
  one.calibration.similarity.erase(kCosine);
  one.calibration.similarity.erase(kL1);
  write_calibration(path_, one);
  EXPECT_EQ(fault_for(kL1, record_.subject),
            path_ + ": holds mse, l2, not l1; take metric=mse or measure all of them: " + kCommand +
                " --metric mse --metric l2 --metric l1 -o " + path_);
  CalibrationSubject other = record_.subject;
  other.sampler = "ddpm";
  EXPECT_EQ(fault_for(kL1, other),
            path_ +
                ": is of sampler ddim:steps=8, not ddpm; leave file= out and "
                "run: reprise calibrate demo --sampler ddpm --metric l1");
  write_file(path_, std::as_bytes(std::span("notes of the user's")));
  EXPECT_THAT(fault_for(kCosine, record_.subject),
              EndsWith(std::string("; or leave file= out and run: ") + kCommand));
  fs::remove(path_);
  EXPECT_THAT(fault_for(kMse, record_.subject),
              EndsWith(std::string("; make it: ") + kCommand + " --metric mse -o " + path_));
}

TEST(CalibrateCommand, IsQuotedForAShell) {
  CalibrationSubject subject = small_record().subject;
  subject.model = "my models/it's.gguf";
  const BranchMetric metrics[] = {BranchMetric::kCosine, BranchMetric::kL1};
  EXPECT_EQ(subject.command(metrics, "a b"),
            "reprise calibrate 'my models/it'\\''s.gguf' --sampler ddim:steps=8 --metric cosine "
            "--metric l1 -o 'a b'");
  EXPECT_EQ(small_record().subject.command({metrics, 1}), kCommand);
}

TEST_F(CalibrationFile, RefusesForeignMetadata) {
  EXPECT_EQ(fault_with("branch-calibratio", 0, 'X'),
            path_ + ": is a 'branch-calibratioX', not a branch-calibration" + kAnew);
  for (const char* key : {"branch.model_has", "branch.sample", "branch.timestep", "branch.n_layer",
                          "branch.n_call", "branch.seed", "branch.volatilit"}) {
    EXPECT_THAT(fault_with(key, 0, 'X'), AllOf(HasSubstr("missing"), EndsWith(kCommand))) << key;
  }
  // Behind a key stand its type (4 bytes) and the value; behind that of an array, the type of its
  // elements (4) and their number (8).
  EXPECT_EQ(fault_with("branch.n_calls", 4, int32_t{0}),
            path_ +
                ": 0 calls from 3 seeds; there is one call and one seed at least, and no more "
                "seeds than calls" +
                kAnew);
  EXPECT_THAT(fault_with("branch.n_calls", 4, int32_t{2}), HasSubstr("2 calls from 3 seeds"));
  EXPECT_THAT(fault_with("branch.n_calls", 4, int32_t{-1}), HasSubstr("-1 calls from 3 seeds"));
  EXPECT_EQ(fault_with("branch.volatility", 16 + 4 * 8, std::nan("")),
            path_ + ": the volatility of cross attention of layer 1 is nan" + kAnew);
  EXPECT_EQ(fault_with("branch.volatility", 16, -0.5),
            path_ + ": the volatility of self attention of layer 0 is -0.5" + kAnew);
}

TEST_F(CalibrationFile, RefusesNumbersThatNoMeasurementGives) {
  const float nan = std::nanf("");
  EXPECT_EQ(fault_at(offset_of("similarity.cosine", 4, 9), nan),
            path_ + ": the cosine of steps 1 and 2 of cross attention of layer 1 is nan" + kAnew);
  EXPECT_EQ(fault_at(offset_of("similarity.cosine", 5, 35), 1.5F),
            path_ + ": the cosine of steps 7 and 7 of feed-forward of layer 1 is 1.5" + kAnew);
  EXPECT_THAT(fault_at(offset_of("similarity.cosine", 0, 1), -1.001F), HasSubstr("-1.001"));
  EXPECT_EQ(fault_at(offset_of("similarity.cosine", 0, 1), -1.0F), "accepted");
  EXPECT_EQ(fault_at(offset_of("similarity.l1", 0, 0), 0.25F),
            path_ + ": the l1 of steps 0 and 0 of self attention of layer 0 is 0.25" + kAnew);
  EXPECT_THAT(fault_at(offset_of("similarity.mse", 0, 1), -0.25F), HasSubstr("-0.25"));
  EXPECT_THAT(fault_at(offset_of("similarity.l2", 0, 1), std::numeric_limits<float>::infinity()),
              HasSubstr("inf"));
}

TEST_F(CalibrationFile, RefusesTensorsOfAnotherShape) {
  // Behind a tensor's name: the number of dimensions (4 bytes), then these.
  const std::array<int64_t, 2> swapped = {6, 36};
  EXPECT_EQ(
      fault_with("similarity.cosine", 4, swapped),
      path_ + ": tensor 'similarity.cosine' is f32 [6, 36, 1, 1], not f32 [36, 6, 1, 1]" + kAnew);
  EXPECT_THAT(fault_with("similarity.cosine", 4 + 16, int32_t{GGML_TYPE_I32}),
              HasSubstr("is i32 [36, 6, 1, 1]"));
  CalibrationRecord one = record_;
  one.calibration.similarity = {
      {BranchMetric::kL2, record_.calibration.similarity.at(BranchMetric::kL2)}};
  write_calibration(path_, one);
  std::string bytes = read_file(path_, size_t{1} << 20);
  bytes[bytes.find("similarity.l2")] = 'S';
  EXPECT_EQ(fault_of(bytes), path_ + ": it holds no similarity" + kAnew);
}

// Whatever became of the file, it gives a calibration or an Error.
TEST_F(CalibrationFile, SurvivesChangedBytes) {
  SplitMix64 rng(1);
  int32_t n_refused = 0;
  for (int32_t i = 0; i < 1000; ++i) {
    std::string bytes = bytes_;
    // Mostly of the header.
    const size_t reach = i % 4 == 0 ? bytes.size() : std::min<size_t>(bytes.size(), 1000);
    for (uint64_t n = 1 + rng.next() % 3; n > 0; --n) {
      bytes[rng.next() % reach] = static_cast<char>(rng.next());
    }
    // Not by way of write_file, which would sync each.
    FILE* const file = fopen(path_.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    fwrite(bytes.data(), 1, bytes.size(), file);
    fclose(file);
    if (fault() != "accepted") ++n_refused;
  }
  EXPECT_GT(n_refused, 500);
}

TEST_F(CalibrationFile, WritesNothingThatItWouldNotRead) {
  const auto refusal = [&](const std::function<void(CalibrationRecord&)>& change) -> std::string {
    CalibrationRecord record = record_;
    change(record);
    const std::string path = (folder_ / "new.branch.gguf").string();
    try {
      write_calibration(path, record);
    } catch (const Error& e) {
      EXPECT_FALSE(fs::exists(path));
      return e.what();
    }
    return "written";
  };
  EXPECT_THAT(refusal([](CalibrationRecord& r) { r.seeds.clear(); }),
              HasSubstr("16 calls from 0 seeds"));
  EXPECT_THAT(refusal([](CalibrationRecord& r) { r.n_calls = 0; }), HasSubstr("0 calls"));
  EXPECT_THAT(refusal([](CalibrationRecord& r) { r.calibration.volatility.pop_back(); }),
              HasSubstr("5 volatilities of 6 branches"));
  EXPECT_THAT(refusal([](CalibrationRecord& r) { r.calibration.similarity.clear(); }),
              HasSubstr("it holds no similarity"));
  EXPECT_THAT(refusal([](CalibrationRecord& r) {
                r.calibration.similarity[BranchMetric::kCosine][1] = std::nanf("");
              }),
              HasSubstr("the cosine of steps 0 and 1 of self attention of layer 0 is nan"));
  EXPECT_EQ(refusal([](CalibrationRecord& /*record*/) {}), "written");
}

}  // namespace
}  // namespace reprise
