#include "engines/control/policy_peer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kTiny = REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny.safetensors";

// A shell script in the Python program's place: `sh script network`.
class PolicyPeerTest : public ::testing::Test {
 protected:
  fs::path script_ =
      fs::temp_directory_path() / ("reprise_policy_peer_" + std::to_string(getpid()));
  PolicyFile file_ = PolicyFile::read(kTiny);

  PolicyPeer peer(const std::string& text) {
    std::ofstream(script_) << text;
    return {"sh", script_, file_};
  }
  void TearDown() override { fs::remove(script_); }

  template <class F>
  static std::string error_of(F&& f) {
    try {
      f();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(PolicyPeerTest, TheFileItReadsIsTheNetwork) {
  const std::string copy = script_.string() + ".safetensors";
  write_policy_safetensors(file_, copy);
  std::ifstream in(copy, std::ios::binary);
  uint64_t n_head = 0;
  in.read(reinterpret_cast<char*>(&n_head), sizeof n_head);
  std::string head(n_head, ' ');
  in.read(head.data(), static_cast<std::streamsize>(n_head));
  EXPECT_THAT(head, HasSubstr(R"("n_layer":"2")"));
  EXPECT_THAT(head, HasSubstr(R"("horizon":"6")"));
  EXPECT_THAT(head, HasSubstr(R"("causal_attn":"true")"));
  EXPECT_THAT(head, HasSubstr(R"("prediction_type":"epsilon")"));
  EXPECT_EQ(n_head % 8, 0U);
  for (const PolicyTensor& tensor : file_.tensors) {
    EXPECT_THAT(head, HasSubstr('"' + tensor.name + '"'));
    std::vector<float> values(tensor.values.size());
    in.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
    EXPECT_EQ(values, tensor.values) << tensor.name;
  }
  EXPECT_EQ(in.peek(), EOF);
  fs::remove(copy);
}

TEST_F(PolicyPeerTest, TheFileKeepsWhoSeesWhom) {
  const std::string copy = script_.string() + ".safetensors";
  file_.hparams.is_causal = false;
  write_policy_safetensors(file_, copy);
  std::ifstream in(copy, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  EXPECT_THAT(text, HasSubstr(R"("causal_attn":"false")"));
  fs::remove(copy);
}

TEST_F(PolicyPeerTest, AsksAndReadsNumbers) {
  PolicyPeer peer = this->peer(
      "test -s \"$1\" && echo ready torch 9, $#\n"
      "read -r line; echo \"${line#forward 7 }\"\n"
      "read -r line; test \"$line\" = 'chunk plain 2 8' && echo 0.25\n"
      "read -r line; test \"$line\" = 'chunk diffusers 1 1' && echo 1e-3\n"
      "read -r line; test \"$line\" = memory && echo 4096\n");
  EXPECT_EQ(peer.versions(), "torch 9, 1");
  // Every bit of an F32 crosses over and back.
  const std::vector<float> sample = {0.1F, -1e-30F, 3.4e38F, 1.0F / 3};
  EXPECT_EQ(peer.forward(7, sample, {}), sample);
  EXPECT_EQ(peer.chunk_s(PolicyPeer::Loop::kPlain, 2, 8), 0.25);
  EXPECT_EQ(peer.chunk_s(PolicyPeer::Loop::kDiffusers, 1, 1), 1e-3);
  EXPECT_EQ(peer.peak_bytes(), 4096);
}

TEST_F(PolicyPeerTest, SaysWhatWentWrongAndWhatToInstall) {
  EXPECT_THAT(error_of([&] { PolicyPeer("sh", "/nowhere/peer.py", file_); }),
              HasSubstr("'/nowhere/peer.py' is not there"));
  EXPECT_THAT(error_of([&] { peer("exit 1\n"); }),
              testing::AllOf(HasSubstr("ended at once"), HasSubstr("pip install torch diffusers")));
  EXPECT_THAT(error_of([&] { peer("echo 'error: KeyError'\n"); }), HasSubstr("error: KeyError"));
  PolicyPeer peer = this->peer(
      "echo ready torch; read -r l; echo error: bad; read -r l; echo 1 2; read -r l; echo; read -r "
      "l\n");
  const std::vector<float> sample(4);
  EXPECT_THAT(error_of([&] { peer.forward(0, sample, {}); }), HasSubstr("error: bad"));
  EXPECT_THAT(error_of([&] { peer.forward(0, sample, {}); }), HasSubstr("2 output values, 4"));
  EXPECT_THAT(error_of([&] { peer.peak_bytes(); }), HasSubstr("empty answer"));
  EXPECT_THAT(error_of([&] { peer.peak_bytes(); }), HasSubstr("ended"));
}

}  // namespace
}  // namespace reprise
