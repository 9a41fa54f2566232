#include "core/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/backend.h"
#include "core/error.h"

namespace reprise {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(Device, IsReadFromItsName) {
  EXPECT_EQ(Device::parse("cpu").kind, Device::Kind::kCpu);
  EXPECT_EQ(Device::parse("ggml-cpu").kind, Device::Kind::kGgmlCpu);
  EXPECT_EQ(Device::parse("cuda").kind, Device::Kind::kCuda);
  EXPECT_EQ(Device::parse("cuda").index, 0);
  EXPECT_EQ(Device::parse("cuda:12").kind, Device::Kind::kCuda);
  EXPECT_EQ(Device::parse("cuda:12").index, 12);
  for (const char* bad : {"", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda: 1",
                          "cuda:99999999999"}) {
    EXPECT_THAT([bad] { Device::parse(bad); }, ThrowsMessage<Error>(HasSubstr("cuda:N"))) << bad;
  }
}

// Whether CUDA is missing from the program or the GPU from the machine: one clear line.
TEST(Device, MissingCudaIsAnError) {
  EXPECT_THAT(
      [] {
        Backend(1, WeightUse::kExpand, {Device::Kind::kCuda, 4711});
      },
      ThrowsMessage<Error>(AnyOf(HasSubstr("make cuda builds it with"),
                                 HasSubstr("no CUDA device found"),
                                 HasSubstr("they count from 0"))));
}

TEST(Device, OnlyTheCpuHasKernelsInGraphs) {
  EXPECT_TRUE(Backend(1).has_kernels());
  EXPECT_EQ(Backend(1).kv_placement().unit, 1);
  const Backend plain(1, WeightUse::kExpand, {Device::Kind::kGgmlCpu});
  EXPECT_FALSE(plain.has_kernels());
  EXPECT_TRUE(plain.is_host());
  EXPECT_EQ(plain.kv_placement().unit, 256);
}

}  // namespace
}  // namespace reprise
