#include "core/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

class AtomicFile : public ::testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / ("reprise_file_" + std::to_string(getpid()));
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  static std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
  }
};

TEST_F(AtomicFile, ReplacesAndLeavesNothingElse) {
  const std::string path = folder_ / "a";
  write_file(path, bytes("one"));
  write_file(path, bytes("two"));
  EXPECT_EQ(read_file(path, 10), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(AtomicFile, UnfinishedFileHasNoName) {
  const std::string path = folder_ / "a";
  write_file(path, bytes("old"));
  std::string temporary;
  {
    const UnfinishedFile file(path);
    temporary = file.temporary();
    ASSERT_EQ(write(file.descriptor(), "new", 3), 3);
    EXPECT_EQ(read_file(path, 10), "old");
    EXPECT_EQ(read_file(temporary, 10), "new");
  }
  EXPECT_EQ(read_file(path, 10), "old");
  EXPECT_FALSE(fs::exists(temporary));
  fs::create_symlink(path, folder_ / "link");
  UnfinishedFile file(folder_ / "link");
  ASSERT_EQ(write(file.descriptor(), "new", 3), 3);
  file.finish();
  EXPECT_EQ(read_file(path, 10), "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_THROW(UnfinishedFile(folder_ / "missing" / "a"), Error);
}

// A file size limit stands for a full disk: the write fails half-way.
TEST_F(AtomicFile, FailedWriteLeavesTheOldFile) {
  const std::string path = folder_ / "a";
  write_file(path, bytes("old"));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(write_file(path, bytes(std::string(100'000, 'x'))), Error);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(read_file(path, 10), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

// With enough rights a rename would take the place of /dev/null.
TEST_F(AtomicFile, WritesIntoWhatIsNoFile) {
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  write_file(pipe, bytes("text"));
  write_file("/dev/null", bytes("text"));
  char text[5] = {};
  EXPECT_EQ(read(reader, text, sizeof text), 4);
  close(reader);
  EXPECT_STREQ(text, "text");
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  EXPECT_THROW(write_file("/dev/full", bytes("text")), Error);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  EXPECT_THROW(write_file(folder_, bytes("text")), Error);  // a folder
}

TEST_F(AtomicFile, WritesTheFileBehindALink) {
  write_file(folder_ / "a", bytes("old"));
  fs::create_symlink("a", folder_ / "link");
  write_file(folder_ / "link", bytes("new"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_file(folder_ / "a", 10), "new");
}

TEST_F(AtomicFile, AFolderThatIsMissingIsRefusedBeforehand) {
  EXPECT_NO_THROW(check_folder_of(folder_ / "new"));
  EXPECT_NO_THROW(check_folder_of("new"));
  EXPECT_NO_THROW(check_folder_of("/dev/stdout"));
  try {
    check_folder_of(folder_ / "none" / "new");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("none' does not exist; make it first"));
  }
  EXPECT_FALSE(fs::exists(folder_ / "new"));
  EXPECT_THROW(check_folder_of(folder_), Error);
}

TEST_F(AtomicFile, NamesTheProblem) {
  try {
    read_file(folder_ / "nothing", 10);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("nothing: cannot open: No such file"));
  }
  write_file(folder_ / "long", bytes("12345678901"));
  EXPECT_THROW(read_file(folder_ / "long", 10), Error);
  EXPECT_THROW(read_file(folder_, 10), Error);  // a folder
}

}  // namespace
}  // namespace reprise
