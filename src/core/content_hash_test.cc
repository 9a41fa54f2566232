#include "core/content_hash.h"

#include <gtest/gtest.h>

#include <string_view>

namespace reprise {
namespace {

std::string hash_of(std::string_view text) {
  ContentHash hash;
  hash.add(std::as_bytes(std::span(text)));
  return hash.hex();
}

// The values that the authors of FNV publish.
TEST(ContentHash, EqualsThePublishedValues) {
  EXPECT_EQ(hash_of(""), "cbf29ce484222325");
  EXPECT_EQ(hash_of("a"), "af63dc4c8601ec8c");
  EXPECT_EQ(hash_of("foobar"), "85944171f73967e8");
}

TEST(ContentHash, PiecesGiveTheSameAsTheWhole) {
  constexpr std::string_view kText = "foobar";
  ContentHash hash;
  hash.add(std::as_bytes(std::span(kText.substr(0, 2))));
  hash.add(std::as_bytes(std::span(kText.substr(2))));
  EXPECT_EQ(hash.hex(), hash_of(kText));
}

}  // namespace
}  // namespace reprise
