#include "engines/generate/peer_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A shell script in the peer's place.
class PeerProcessTest : public ::testing::Test {
 protected:
  fs::path script_ = fs::temp_directory_path() / ("reprise_peer_" + std::to_string(getpid()));

  PeerProcess::Options script(const std::string& text) {
    std::ofstream(script_) << "#!/bin/sh\n" << text;
    fs::permissions(script_, fs::perms::owner_all);
    return {script_.string(), "m.gguf", 3, 77, true};
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

TEST_F(PeerProcessTest, AnswersAreSeconds) {
  // Seconds: how many numbers there were.
  PeerProcess peer(
      script("echo ready $*\n"
             "while read -r command numbers; do set -- $numbers; echo $#.5; done\n"));
  EXPECT_EQ(peer.weight_buffers(), "m.gguf 3 77 1");
  EXPECT_EQ(peer.clear(), 0.5);
  EXPECT_EQ(peer.rewind(7), 1.5);
  EXPECT_EQ(peer.decode(std::vector<int32_t>{1, 2, 3}), 3.5);
  EXPECT_EQ(peer.extend(std::vector<int32_t>(20000, 49151)), 20000.5);  // longer than any buffer
}

TEST_F(PeerProcessTest, HasNoSettingsOfOpenMp) {
  setenv("OMP_WAIT_POLICY", "active", 1);
  PeerProcess peer(script("echo \"ready policy:$OMP_WAIT_POLICY\"; read -r end\n"));
  unsetenv("OMP_WAIT_POLICY");
  EXPECT_EQ(peer.weight_buffers(), "policy:");
}

TEST_F(PeerProcessTest, SaysWhatWentWrong) {
  EXPECT_THAT(error_of([] {
                PeerProcess({"/nowhere/peer", "m", 1, 1, false});
              }),
              HasSubstr("/nowhere/peer: cannot be started: No such file"));
  EXPECT_THAT(error_of([&] { PeerProcess(script("echo error m.gguf is no model\n")); }),
              HasSubstr("error m.gguf is no model"));
  EXPECT_THAT(error_of([&] { PeerProcess(script("exit 1\n")); }), HasSubstr("ended"));
  PeerProcess peer(script("echo ready CPU; read -r line; echo error full\n"));
  EXPECT_THAT(error_of([&] { peer.clear(); }), HasSubstr("clear: error full"));
  EXPECT_THAT(error_of([&] { peer.clear(); }), HasSubstr("ended"));
  EXPECT_THAT(error_of([&] { peer.clear(); }), HasSubstr("ended"));
}

}  // namespace
}  // namespace reprise
