// The guard is asked through the templates that need it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "core/chat_template.h"
#include "core/chat_template_limits.h"
#include "core/error.h"

namespace reprise {
namespace {

using testing::HasSubstr;

const std::vector<ChatMessage> kHello = {{"user", "hello"}};

std::string render(const std::string& source) {
  return ChatTemplate::parse("t", source, {}).render(kHello, false);
}

std::string error(const std::string& source) {
  try {
    return "rendered: " + render(source);
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
}

std::string repeat(const std::string& text, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

TEST(ChatTemplateGuard, RefusesDeepBrackets) {
  const auto source = [](size_t n) {
    return "{{ " + repeat("(", n) + "1" + repeat(")", n) + " }}";
  };
  EXPECT_EQ(render(source(kMaxTagNesting)), "1");
  EXPECT_THAT(error(source(kMaxTagNesting + 1)), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(error("{{ " + repeat("[", 400'000)), HasSubstr("nested more than 64 deep"));
}

TEST(ChatTemplateGuard, RefusesLongTags) {
  EXPECT_EQ(render("{{ 1" + repeat("+1", 499) + " }}"), "500");
  for (const char* part : {"+1", "|abs", ".x", " if 1 else 1", " is none", "[0]", "()"}) {
    EXPECT_THAT(error("{{ 1" + repeat(part, 60'000) + " }}"), HasSubstr("more than 1000 words"))
        << part;
  }
  EXPECT_THAT(error("{{ " + repeat("not ", 60'000) + "1 }}"), HasSubstr("more than 1000 words"));
  EXPECT_THAT(error("{{ " + repeat("- ", 60'000) + "1 }}"), HasSubstr("more than 1000 words"));
}

TEST(ChatTemplateGuard, RefusesDeepBlocks) {
  const auto nested = [](size_t n) {
    return repeat("{% if true %}", n) + "x" + repeat("{% endif %}", n);
  };
  EXPECT_EQ(render(nested(kMaxBlockNesting)), "x");
  EXPECT_EQ(render(repeat(nested(kMaxBlockNesting), 3)), "xxx");
  EXPECT_THAT(error(nested(kMaxBlockNesting + 1)), HasSubstr("blocks are nested more than 64"));
  const auto chain = [](size_t n) {
    return "{% if false %}" + repeat("{% elif false %}", n) + "{% else %}x{% endif %}";
  };
  EXPECT_EQ(render(repeat(chain(kMaxBlockNesting - 1), 3)), "xxx");
  EXPECT_THAT(error(chain(kMaxBlockNesting)), HasSubstr("blocks are nested more than 64"));
  for (const char* block : {"{% for i in [] %}", "{% macro m() %}", "{% set x %}",
                            "{% filter upper %}", "{% call m() %}"}) {
    EXPECT_THAT(error(repeat(block, 20'000)), HasSubstr("blocks are nested more than 64")) << block;
  }
}

TEST(ChatTemplateGuard, StopsEndlessMacros) {
  EXPECT_THAT(error("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              HasSubstr("without an end"));
  EXPECT_THAT(error("{% macro g() %}{{ f() }}{% endmacro %}{% macro f() %}{{ g() }}{% endmacro %}"
                    "{{ f() }}"),
              HasSubstr("without an end"));
  EXPECT_EQ(render("{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}"
                   "{{ f(9) }}"),
            "9876543210");
}

TEST(ChatTemplateGuard, StopsLongLoops) {
  EXPECT_EQ(render("{% for i in range(10000) %}{% endfor %}done"), "done");
  const std::string loops =
      "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}";
  EXPECT_THAT(error(loops), HasSubstr("more than 10064 loop steps"));
}

TEST(ChatTemplateGuard, AllowsStepsForEveryMessage) {
  const std::vector<ChatMessage> many(500, ChatMessage{"user", "x"});
  const auto chat = ChatTemplate::parse(
      "t", "{% for m in messages %}{% for i in range(30) %}{% endfor %}{{ m.content }}{% endfor %}",
      {});
  EXPECT_EQ(chat.render(many, false), repeat("x", 500));
}

TEST(ChatTemplateGuard, BoundsRange) {
  EXPECT_EQ(render("{{ range(4) | join(',') }}|{{ range(5, 0, -2) | join(',') }}|{{ range(3, 3) "
                   "| length }}|{{ range(100000) | length }}"),
            "0,1,2,3|5,3,1|0|100000");
  EXPECT_THAT(error("{{ range(100001) }}"), HasSubstr("more than 100000 entries"));
  EXPECT_THAT(error("{{ range(1, 5, 0) }}"), HasSubstr("step 0"));
  EXPECT_THAT(error("{{ range('a') }}"), HasSubstr("integers"));
  EXPECT_EQ(render("{{ range(9223372036854775800, 9223372036854775807, 5) | length }}"), "2");
}

TEST(ChatTemplateGuard, TellsTheTime) {
  const auto year = [] {
    const std::time_t now = std::time(nullptr);
    return 1900 + std::localtime(&now)->tm_year;
  };
  const int before = year();
  const int got = std::stoi(render("{{ strftime_now('%Y') }}"));
  EXPECT_GE(got, before);
  EXPECT_LE(got, year());
  EXPECT_EQ(render("{{ strftime_now('') }}|{{ strftime_now('%%') }}"), "|%");
  EXPECT_THAT(error("{{ strftime_now('%d' * 3000) }}"), HasSubstr("4094"));
}

}  // namespace
}  // namespace reprise
