// Renderings equal those of Python's jinja2, for real templates and for our own.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/chat_template.h"
#include "core/chat_template_names.h"
#include "core/error.h"

namespace reprise {
namespace {

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(REPRISE_SOURCE_DIR "/tests/golden/chat")) {
    files.push_back(entry.path().stem());
  }
  std::sort(files.begin(), files.end());
  return files;
}

nlohmann::json golden(const std::string& name) {
  std::ifstream in(REPRISE_SOURCE_DIR "/tests/golden/chat/" + name + ".json");
  return nlohmann::json::parse(in);
}

std::vector<ChatMessage> messages_of(const nlohmann::json& test) {
  std::vector<ChatMessage> out;
  for (const auto& message : test.at("messages")) {
    out.push_back({message.at("role"), message.at("content")});
  }
  return out;
}

class ChatTemplateGolden : public testing::TestWithParam<std::string> {};

TEST_P(ChatTemplateGolden, RendersAsJinja2) {
  const auto file = golden(GetParam());
  const SpecialTexts special = {
      file.at("bos"),
      file.at("eos"),
      {"<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>", "<s>", "</s>"}};
  const auto chat = ChatTemplate::parse(GetParam(), file.at("template"), special);
  for (const auto& test : file.at("cases")) {
    const auto messages = messages_of(test);
    const bool add_generation_prompt = test.at("add_generation_prompt");
    SCOPED_TRACE(test.at("name").get<std::string>() + (add_generation_prompt ? ", prompt" : ""));
    if (test.contains("error")) {
      try {
        chat.render(messages, add_generation_prompt);
        ADD_FAILURE() << "rendered, jinja2 says: " << test.at("error");
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find(test.at("error").get<std::string>()),
                  std::string::npos)
            << e.what();
      }
      continue;
    }
    EXPECT_EQ(chat.render(messages, add_generation_prompt), test.at("expected"));
    if (GetParam() == "features" && test.at("name") == "quotes a control token") {
      // That template slices messages: where the control token went can no longer be told.
      EXPECT_THROW(chat.render_parts(messages, add_generation_prompt), Error);
      continue;
    }
    std::string joined;
    for (const auto& segment : chat.render_parts(messages, add_generation_prompt)) {
      joined += segment.text;
    }
    EXPECT_EQ(joined, test.at("expected"));
  }
}

INSTANTIATE_TEST_SUITE_P(Files, ChatTemplateGolden, testing::ValuesIn(golden_files()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(ChatTemplateGolden, HoldsEveryNamedTemplateAsItIs) {
  for (const NamedChatTemplate& known : named_chat_templates()) {
    const auto file = golden("name_" + std::string(known.name));
    EXPECT_EQ(file.at("template"), known.source)
        << known.name << ": run tools/golden_chat_templates.py";
  }
}

}  // namespace
}  // namespace reprise
