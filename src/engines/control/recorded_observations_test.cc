#include "engines/control/recorded_observations.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr PolicyHparams kHparams{.n_obs_steps = 2, .n_obs = 3};

// The file of one tensor, which goes with its object.
class Recording {
 public:
  Recording(const std::string& name, const std::string& dtype, const std::string& shape,
            const std::vector<float>& values)
      : path_(fs::temp_directory_path() / fmt::format("observations.{}.safetensors", getpid())) {
    const size_t n_bytes = values.size() * sizeof(float);
    const std::string header =
        fmt::format(R"({{"{}":{{"dtype":"{}","shape":{},"data_offsets":[0,{}]}}}})", name, dtype,
                    shape, n_bytes);
    const uint64_t n_header = header.size();
    std::ofstream file(path_, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&n_header), sizeof n_header);
    file << header;
    file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(n_bytes));
  }
  ~Recording() {
    std::error_code error;
    fs::remove(path_, error);
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  std::vector<std::vector<float>> read(int32_t n) const {
    return read_observations(path_.string(), kHparams, n, "--calls");
  }
  std::string fault(int32_t n) const {
    try {
      read(n);
    } catch (const Error& error) {
      return error.what();
    }
    return "taken";
  }

 private:
  fs::path path_;
};

std::vector<float> counting(int32_t n) {
  std::vector<float> values(static_cast<size_t>(n) * 6);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

TEST(ReadObservations, SpreadsThemOverTheFile) {
  const Recording all("obs", "F32", "[7,2,3]", counting(7));
  std::vector<float> firsts;
  for (const std::vector<float>& obs : all.read(3)) {
    ASSERT_EQ(obs.size(), 6U);
    EXPECT_EQ(obs[5], obs[0] + 5);
    firsts.push_back(obs[0]);
  }
  EXPECT_EQ(firsts, (std::vector<float>{0, 2 * 6, 4 * 6}));
  EXPECT_EQ(all.read(7).back().front(), 6 * 6);
  EXPECT_EQ(all.read(1).size(), 1U);
}

TEST(ReadObservations, RefusesWhatIsNone) {
  EXPECT_THAT(Recording("observations", "F32", "[1,2,3]", counting(1)).fault(1),
              HasSubstr("has no tensor 'obs', but observations"));
  EXPECT_THAT(Recording("obs", "F16", "[2,2,3]", counting(1)).fault(1), HasSubstr("'obs' is f16"));
  EXPECT_THAT(Recording("obs", "F64", "[1,1,3]", counting(1)).fault(1), HasSubstr("type F64"));
  for (const char* shape : {"[1,6]", "[1,3,2]", "[1,1,2,3]", "[6]"}) {
    EXPECT_THAT(Recording("obs", "F32", shape, counting(1)).fault(1),
                HasSubstr("the policy sees [n, 2, 3]"))
        << shape;
  }
  EXPECT_THAT(Recording("obs", "F32", "[3,2,3]", counting(3)).fault(4),
              HasSubstr("holds 3 observations, --calls 4 needs one each; record more, or give "
                        "--calls 3"));
  EXPECT_THAT(Recording("obs", "F32", "[0,2,3]", {}).fault(1), HasSubstr("holds 0 observations"));
  std::vector<float> values = counting(3);
  values[6 + 4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Recording("obs", "F32", "[3,2,3]", values).fault(1),
              HasSubstr("has nan as number 4 of observation 1"));
  EXPECT_THROW(read_observations("/nonexistent/x.safetensors", kHparams, 1, "--calls"), Error);
}

}  // namespace
}  // namespace reprise
