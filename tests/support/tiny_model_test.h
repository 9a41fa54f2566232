#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/backend.h"
#include "nets/decoder_model.h"
#include "support/tiny_model.h"

namespace reprise::test {

// A tiny random model in a file of this process, which goes with the test.
class TinyModelTest : public ::testing::Test {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_tiny_model_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  Backend backend_{2};
  std::shared_ptr<const DecoderModel> model_;

  void load(const TinyModel& tiny) {
    write_tiny_model(tiny, path_);
    model_ = DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path_)));
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::vector<int32_t> tokens(int32_t n, uint32_t seed) const {
    std::mt19937 rng(seed);
    std::vector<int32_t> out(n);
    for (int32_t& token : out) token = static_cast<int32_t>(rng() % model_->hparams().n_vocab);
    return out;
  }
};

}  // namespace reprise::test
