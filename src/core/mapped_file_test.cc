#include "core/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

class MappedFileTest : public testing::Test {
 protected:
  std::filesystem::path folder_ =
      testing::TempDir() + "reprise_mapped_file_" + std::to_string(getpid());

  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, size_t n_bytes) const {
    std::string path = folder_ / name;
    std::ofstream(path) << std::string(n_bytes, 'x');
    return path;
  }
};

std::string fault_of(const std::string& path) {
  try {
    const MappedFile file(path);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST_F(MappedFileTest, RefusesWhatIsNoFile) {
  EXPECT_THAT(fault_of(folder_ / "missing"), HasSubstr("missing: cannot be opened"));
  EXPECT_THAT(fault_of(folder_), HasSubstr("is no regular file"));
  EXPECT_THAT(fault_of(file("empty", 0)), HasSubstr("the file is empty"));
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(fault_of(pipe), HasSubstr("is no regular file"));
}

// Reads a file's last byte after it was cut to `n_left` bytes.
void read_after_cut(const std::string& path, size_t n_left) {
  install_sigbus_handler();
  const MappedFile mapped(path);
  std::filesystem::resize_file(path, n_left);
  [[maybe_unused]] volatile std::byte last = mapped.bytes().back();
}

using MappedFileDeathTest = MappedFileTest;

TEST_F(MappedFileDeathTest, EndsInOneLineWhenTheFileShrinks) {
  const std::string other = file("other", 100'000);
  const MappedFile also_mapped(other);
  for (const size_t n_left : {0U, 4096U}) {
    EXPECT_EXIT(read_after_cut(file("model.gguf", 100'000), n_left), testing::ExitedWithCode(1),
                "^reprise: [^\n]*/model.gguf: changed or shrank while it was read; fetch it "
                "again\n$");
  }
}

TEST_F(MappedFileDeathTest, EndsInOneLineWhenManyThreadsReadIt) {
  const auto read_at_once = [&] {
    install_sigbus_handler();
    const MappedFile mapped(file("model.gguf", 100'000));
    std::filesystem::resize_file(folder_ / "model.gguf", 0);
    constexpr int n_threads = 16;
    std::atomic<int> n_ready{0};
    std::vector<std::jthread> readers(n_threads);
    for (std::jthread& reader : readers) {
      reader = std::jthread([&] {
        n_ready.fetch_add(1);
        while (n_ready.load() < n_threads) std::this_thread::yield();
        [[maybe_unused]] volatile std::byte last = mapped.bytes().back();
      });
    }
  };
  for (int i = 0; i < 20; ++i) {
    EXPECT_EXIT(read_at_once(), testing::ExitedWithCode(1), "^reprise: [^\n]*\n$");
  }
}

TEST_F(MappedFileDeathTest, LeavesOtherSignalsAlone) {
  EXPECT_EXIT(
      {
        const MappedFile mapped(file("model.gguf", 100));
        install_sigbus_handler();
        std::raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "");
  // A file that is no longer mapped is no longer named.
  EXPECT_EXIT(
      {
        install_sigbus_handler();
        { const MappedFile mapped(file("model.gguf", 100)); }
        std::raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "^$");
}

}  // namespace
}  // namespace reprise
