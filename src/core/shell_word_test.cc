#include "core/shell_word.h"

#include <gtest/gtest.h>

#include <utility>

namespace reprise {
namespace {

TEST(ShellWord, QuotesWhatAShellWouldTakeApart) {
  const std::pair<const char*, const char*> cases[] = {
      {"pusht-demo", "pusht-demo"},
      {"/data/a_b/m.Q8_0.gguf", "/data/a_b/m.Q8_0.gguf"},
      {"ddim:steps=20,spacing=trailing", "ddim:steps=20,spacing=trailing"},
      {"", "''"},
      {"my model.gguf", "'my model.gguf'"},
      {"~/m.gguf", "'~/m.gguf'"},
      {"$HOME/m;rm", "'$HOME/m;rm'"},
      {"it's.gguf", "'it'\\''s.gguf'"},
      {"größe.gguf", "'größe.gguf'"}};
  for (const auto& [text, want] : cases) EXPECT_EQ(shell_word(text), want);
}

}  // namespace
}  // namespace reprise
