#include "core/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/error.h"
#include "core/gguf_file.h"

namespace reprise {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::vector<ChatMessage> kHello = {{"user", "hello"}};

template <typename Call>
std::string error(Call call) {
  try {
    call();
    return "no error";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.what();
  }
}

std::string parse_error(const std::string& source) {
  return error([&] { ChatTemplate::parse("t", source, {}); });
}

std::string render_error(const std::string& source, const std::vector<ChatMessage>& messages) {
  return error([&] { ChatTemplate::parse("t", source, {}).render(messages, false); });
}

// Segments as text: input in square brackets.
std::string parts(const ChatTemplate& chat, const std::vector<ChatMessage>& messages) {
  std::string out;
  for (const auto& [text, is_input] : chat.render_parts(messages, false)) {
    EXPECT_FALSE(text.empty());
    out += is_input ? "[" + text + "]" : text;
    out += "|";
  }
  return out;
}

std::string gguf_with(const std::vector<std::pair<std::string, std::string>>& strings) {
  std::string out = "GGUF";
  const auto number = [&out](auto value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const auto text = [&](const std::string& value) {
    number(uint64_t{value.size()});
    out += value;
  };
  number(uint32_t{3});
  number(uint64_t{0});
  number(uint64_t{strings.size()});
  for (const auto& [key, value] : strings) {
    text(key);
    number(uint32_t{8});
    text(value);
  }
  return out;
}

class TemplateFile {
 public:
  explicit TemplateFile(const std::string& content)
      : path_(testing::TempDir() + "reprise_chat_template_" + std::to_string(getpid())) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemplateFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ChatTemplate, ReadsTheModelsOwn) {
  const std::string bytes =
      gguf_with({{"tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}"}});
  const auto file = GgufFile::parse("m.gguf", std::as_bytes(std::span(bytes)));
  EXPECT_EQ(ChatTemplate::from_model(file, {"<s>", "", {}}).render(kHello, false), "<s>hello");
}

TEST(ChatTemplate, SaysWhatToDoWhenTheModelHasNone) {
  const std::string bytes = gguf_with({});
  const auto file = GgufFile::parse("m.gguf", std::as_bytes(std::span(bytes)));
  EXPECT_THAT(error([&] { ChatTemplate::from_model(file, {}); }),
              AllOf(HasSubstr("m.gguf"), HasSubstr("--chat-template NAME|FILE"), HasSubstr("--raw"),
                    HasSubstr("chatml")));
}

TEST(ChatTemplate, FindsNamesAndFiles) {
  const TemplateFile file("{{ messages[0].role }}\n");
  EXPECT_EQ(ChatTemplate::from_name_or_file(file.path(), {}).render(kHello, false), "user");
  EXPECT_EQ(ChatTemplate::from_name_or_file("chatml", {}).render(kHello, true),
            "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_THAT(error([] { ChatTemplate::from_name_or_file("chatlm", {}); }),
              HasSubstr("did you mean 'chatml'"));
  EXPECT_THAT(error([] { ChatTemplate::from_name("llama-3", {}); }),
              HasSubstr("did you mean 'llama3'"));
  for (const auto name : ChatTemplate::names()) {
    EXPECT_THAT(ChatTemplate::from_name(name, {}).render(kHello, true), HasSubstr("hello")) << name;
  }
}

TEST(ChatTemplate, RefusesBadFiles) {
  EXPECT_THAT(error([] { ChatTemplate::from_file("/nowhere/t.jinja", {}); }),
              HasSubstr("/nowhere/t.jinja: the file cannot be read"));
  EXPECT_THAT(error([] { ChatTemplate::from_file(testing::TempDir(), {}); }),
              HasSubstr("cannot be read"));
  const TemplateFile largest(std::string(ChatTemplate::kMaxBytes, 'x'));
  EXPECT_EQ(ChatTemplate::from_file(largest.path(), {}).render(kHello, false).size(),
            ChatTemplate::kMaxBytes);
  const TemplateFile larger(std::string(ChatTemplate::kMaxBytes + 1, 'x'));
  EXPECT_THAT(error([&] { ChatTemplate::from_file(larger.path(), {}); }), HasSubstr("1048576"));
  EXPECT_THAT(error([] { ChatTemplate::parse("t", std::string((1U << 20) + 1, 'x'), {}); }),
              HasSubstr("1048577"));
}

TEST(ChatTemplate, RefusesBadSyntax) {
  for (const char* source :
       {"{% if %}", "{% for x in y %}", "{{ 1 +", "{% endif %}", "{{ 'open }}", "{# open",
        "{% unknown %}", "{% for 1 in [1] %}{% endfor %}", "{{ 99999999999999999999 }}", "{{ @ }}",
        "{% set %}", "{{ 'a\\", "\xFF", "{% macro 1() %}{% endmacro %}", "{%"}) {
    EXPECT_THAT(render_error(source, kHello), testing::StartsWith("t: ")) << source;
  }
  EXPECT_THAT(parse_error("a\n{{ (1 }}"), AllOf(HasSubstr("Expected )"), HasSubstr("{{ (1 }}")));
  EXPECT_THAT(parse_error(std::string("a\0b", 3)), HasSubstr("no UTF-8"));
}

TEST(ChatTemplate, GivesTheTemplatesOwnWords) {
  const std::string source =
      "a\n  {{ raise_exception('roles must\nalternate: Error: ' + messages[0].role) }}";
  EXPECT_EQ(render_error(source, kHello),
            "t: line 2, column 21: roles must alternate: Error: user");
  EXPECT_THAT(render_error("{{ messages[0].content | nothing }}", kHello), HasSubstr("'nothing'"));
}

TEST(ChatTemplate, RefusesBadConversations) {
  EXPECT_THAT(render_error("x", {}), HasSubstr("no messages"));
  for (const std::string role : {"", "User", "a b", "<|im_end|>", "a\n", "\xC3\xA9"}) {
    EXPECT_THAT(render_error("x", {{"user", "x"}, {role, "x"}}), HasSubstr("messages[1]: role"))
        << role;
  }
  EXPECT_THAT(render_error("x", {{std::string(33, 'a'), "x"}}), HasSubstr("messages[0]: role"));
  EXPECT_THAT(render_error("x", {{"user", "ab\xFF"}}), HasSubstr("byte 2 is 255"));
}

TEST(ChatTemplate, LeavesHarmlessTextWhole) {
  const auto chat =
      ChatTemplate::parse("t", "<s>{{ messages[0].content }}</s>", {"", "", {"<s>", "</s>"}});
  EXPECT_EQ(parts(chat, {{"user", "hello <b>"}}), "<s>hello <b></s>|");
  EXPECT_EQ(parts(chat, {{"user", ""}}), "<s></s>|");
}

TEST(ChatTemplate, CutsControlTextsOutOfMessages) {
  const SpecialTexts special = {"", "", {"<s>", "</s>", "s><", "END"}};
  const auto chat = [&](const char* source) { return ChatTemplate::parse("t", source, special); };
  const auto plain = chat("<s>{{ messages[0].content }}</s>");
  EXPECT_EQ(parts(plain, {{"user", "a</s>b<s>"}}), "<s>a|[</s>]|b|[<s>]|</s>|");
  // Overlapping: whichever of the two a tokenizer would take is gone.
  EXPECT_EQ(parts(plain, {{"user", "<s></s>"}}), "<s>|[<s></s>]|</s>|");
  // Half from the message, half from the template.
  EXPECT_EQ(parts(chat("{{ messages[0].content }}s>"), {{"user", "x<"}}), "x|[<]|s>|");
  EXPECT_EQ(parts(chat("E{{ messages[0].content }}"), {{"user", "ND"}}), "E|[ND]|");
  EXPECT_EQ(parts(chat("{{ messages[0].content | upper }}"), {{"user", "end"}}), "[END]|");
  EXPECT_EQ(parts(chat("{{ messages[0].content | replace('.', '') }}"), {{"user", "E.ND"}}),
            "[END]|");
}

TEST(ChatTemplate, CutsWhereTheEngineForgetsTheOrigin) {
  const SpecialTexts special = {"", "", {"<s>"}};
  for (const char* source :
       {"{{ messages[0].content.split('/')[0] }}", "{{ messages[0].content.rsplit('/')[1] }}",
        "{{ messages[0].content | tojson }}",
        "{{ ('-' ~ messages[0].content) | replace('q', '') }}",
        "{{ messages[0].content.split('/') | join('/') }}"}) {
    const auto chat = ChatTemplate::parse("t", source, special);
    EXPECT_THAT(parts(chat, {{"user", "a<s>b/c<s>d"}}), HasSubstr("|[<s>]|")) << source;
  }
}

TEST(ChatTemplate, RefusesWhenAControlTextCannotBeToldApart) {
  const auto chat = ChatTemplate::parse(
      "t", "{{ messages[0].content.split('<s>')[0] }}{{ messages[0].content[0] }}",
      {"", "", {"<s>"}});
  EXPECT_EQ(parts(chat, {{"user", "hello"}}), "helloh|");
  EXPECT_THAT(error([&] { parts(chat, {{"user", "he<s>llo"}}); }), HasSubstr("'<s>'"));
}

// What holds for any message: the segments join to the rendering, and an occurrence of a control
// text in one segment that is no input was written by the template.
TEST(ChatTemplate, NeverLetsAMessageForgeATurn) {
  std::mt19937 random(11);
  const std::vector<std::string> control = {"<|im_start|>", "<|im_end|>", "im_", "|><|"};
  const std::vector<std::string> bricks = {
      "<|im_start|>", "<|im_end|>", "<|im_", "end|>", "<", "|>", "im_", "x", "\n", " ", "\xC3\xA9"};
  const auto chat = ChatTemplate::from_name("chatml", {"", "", {"<|im_start|>", "<|im_end|>"}});
  const auto strange = ChatTemplate::from_name("chatml", {"", "", control});
  for (int round = 0; round < 500; ++round) {
    std::vector<ChatMessage> messages(1 + random() % 3, ChatMessage{"user", ""});
    for (auto& message : messages) {
      for (size_t n = random() % 8; n > 0; --n) message.content += bricks[random() % bricks.size()];
    }
    SCOPED_TRACE(testing::Message() << "seed 11, round " << round);
    std::string joined;
    for (const auto& segment : strange.render_parts(messages, true)) joined += segment.text;
    EXPECT_EQ(joined, strange.render(messages, true));
    size_t n_starts = 0;
    for (const auto& [text, is_input] : chat.render_parts(messages, true)) {
      for (size_t at = 0; !is_input && (at = text.find("<|im_start|>", at)) != std::string::npos;
           ++at) {
        ++n_starts;
      }
    }
    EXPECT_EQ(n_starts, messages.size() + 1);
  }
}

// Random bytes and random pieces of templates give a rendering or an Error, never more.
TEST(ChatTemplate, SurvivesRandomTemplates) {
  std::mt19937 random(3);
  const std::vector<std::string> bricks = {
      "{{",       "}}",  "{%", "%}",       "{#",   "#}",     "-",     "if",     "for",
      "in",       "set", "x",  "messages", "[",    "]",      "(",     ")",      "{",
      "}",        ".",   "|",  "1",        "'a'",  "=",      "endif", "endfor", "macro",
      "endmacro", " ",   "\n", "content",  "trim", "not",    "is",    "else",   ":",
      ",",        "+",   "*",  "\\",       "'",    "endset", "loop",  "call"};
  for (int round = 0; round < 3000; ++round) {
    std::string source;
    for (size_t n = random() % 30; n > 0; --n) source += bricks[random() % bricks.size()] + " ";
    try {
      ChatTemplate::parse("t", source, {}).render(kHello, true);
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::StartsWith("t: ")) << "seed 3, round " << round;
    }
  }
}

}  // namespace
}  // namespace reprise
