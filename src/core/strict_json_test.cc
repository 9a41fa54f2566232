#include "core/strict_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace reprise {
namespace {

std::string fault_of(const std::string& text) {
  try {
    parse_strict_json("x.json", text);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string nested(int n_levels) { return std::string(n_levels, '[') + std::string(n_levels, ']'); }

TEST(StrictJson, GivesTheValue) {
  const nlohmann::json json = parse_strict_json("x.json", R"({"a":{"b":1},"c":{"b":2}})");
  EXPECT_EQ(json["a"]["b"], 1);
  EXPECT_EQ(json["c"]["b"], 2);  // the same key in another object
}

TEST(StrictJson, RefusesByTable) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "is no JSON"},
      {"{\"a\":1", "is no JSON"},
      {"{} {}", "is no JSON"},
      {"\"\xff\"", "is no JSON"},
      {"[1e999]", "is no JSON"},
      {R"({"a":1,"a":2})", "key 'a' stands twice"},
      {R"([{"b":{"a":1,"c":2,"a":2}}])", "key 'a' stands twice"},
      {nested(1000), "more than 64 levels deep"},
      {std::string(1000000, '['), "more than 64 levels deep"},
  };
  for (const auto& [text, want] : cases) {
    EXPECT_THAT(fault_of(text), testing::StartsWith("x.json: ")) << want;
    EXPECT_THAT(fault_of(text), testing::HasSubstr(want));
  }
}

TEST(StrictJson, TakesSixtyFourLevels) {
  EXPECT_EQ(fault_of(nested(64)), "");
  EXPECT_NE(fault_of(nested(65)), "");
}

}  // namespace
}  // namespace reprise
