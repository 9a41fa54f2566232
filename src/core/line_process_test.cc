#include "core/line_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> shell(const std::string& script) { return {"sh", "-c", script}; }

TEST(LineProcess, AnswersLineByLine) {
  LineProcess process(shell("while read -r line; do echo \"<$line>\"; echo; done"));
  const std::string longer(100000, 'x');  // than any buffer
  for (const std::string& line : {std::string("a b"), std::string(), longer}) {
    process.write_line(line);
    EXPECT_EQ(process.read_line(), "<" + line + ">");
    EXPECT_EQ(process.read_line(), "");
  }
}

TEST(LineProcess, HasNoSettingsOfOpenMp) {
  setenv("OMP_WAIT_POLICY", "active", 1);
  LineProcess process(shell("echo \"policy:$OMP_WAIT_POLICY\""));
  unsetenv("OMP_WAIT_POLICY");
  EXPECT_EQ(process.read_line(), "policy:");
}

TEST(LineProcess, SaysThatItHasEnded) {
  EXPECT_THAT(error_of([] { LineProcess({"/nowhere/peer"}); }),
              HasSubstr("/nowhere/peer: cannot be started: No such file"));
  LineProcess process(shell("exec 0<&-; echo first; printf half; exit 3"));
  EXPECT_EQ(process.read_line(), "first");
  EXPECT_THAT(error_of([&] { process.read_line(); }), HasSubstr("sh: ended without an answer"));
  EXPECT_THAT(error_of([&] { process.write_line("x"); }), HasSubstr("sh: has ended"));
}

}  // namespace
}  // namespace reprise
