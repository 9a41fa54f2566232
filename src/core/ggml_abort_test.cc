#include "core/ggml_abort.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "ggml.h"

namespace reprise {
namespace {

TEST(GgmlAbortDeathTest, TellsOfMemoryThatRanOutInOneLine) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer ends the process itself where an allocation is too large";
#endif
  const auto allocate_too_much = [] {
    install_ggml_abort_handler();
    ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    ggml_init({.mem_size = size_t{1} << 62, .mem_buffer = nullptr, .no_alloc = true});
  };
  EXPECT_EXIT(allocate_too_much(), testing::ExitedWithCode(1),
              "^reprise: out of memory; take a smaller model or lower --ctx [^\n]*\n$");
}

TEST(GgmlAbortDeathTest, AsksForAReportOfAnythingElse) {
  const auto assert_what_is_false = [] {
    install_ggml_abort_handler();
    errno = 0;
    GGML_ASSERT(1 == 2);
  };
  EXPECT_EXIT(assert_what_is_false(), testing::KilledBySignal(SIGABRT),
              "^reprise: ggml stopped, please report this defect: [^\n]*1 == 2[^\n]*\n$");
}

}  // namespace
}  // namespace reprise
