#include "core/bpe_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

Json byte_level(bool uses_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", uses_regex}};
}
Json digits() {
  return {{"type", "Sequence"},
          {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}}};
}
Json split(const std::string& regex) {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"},
             {"pattern", {{"Regex", regex}}},
             {"behavior", "Isolated"},
             {"invert", false}},
            byte_level(false)}}};
}

Json tokenizer() {
  Json json = Json::parse(R"({
    "added_tokens": [{"id": 0, "content": "<mask>", "special": true},
                     {"id": 5, "content": "<gap>", "special": false}],
    "normalizer": null,
    "model": {"type": "BPE", "vocab": {"<mask>": 0, "a": 1, "b": 2, "ab": 3},
              "merges": [["a", "b"]]}})");
  json["pre_tokenizer"] = digits();
  return json;
}

class BpeVocabularyTest : public testing::Test {
 protected:
  BpeVocabularyTest() : folder_(testing::TempDir() + "reprise_bpe_" + std::to_string(getpid())) {
    fs::create_directories(folder_);
  }
  ~BpeVocabularyTest() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  BpeVocabulary read(const Json& tokenizer, int64_t n_rows = 7) const {
    write("tokenizer.json", tokenizer.dump());
    return read_bpe_vocabulary(folder_, n_rows).value();
  }
  std::string fault(const Json& tokenizer, int64_t n_rows = 7) const {
    try {
      read(tokenizer, n_rows);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }
  std::string folder_;
};

TEST_F(BpeVocabularyTest, FillsEveryRow) {
  const BpeVocabulary v = read(tokenizer());
  EXPECT_THAT(v.tokens, ElementsAre("<mask>", "a", "b", "ab", "[PAD4]", "<gap>", "[PAD6]"));
  EXPECT_THAT(v.types, ElementsAre(3, 1, 1, 1, 5, 4, 5));
  EXPECT_THAT(v.merges, ElementsAre("a b"));
  EXPECT_EQ(v.pre_tokenizer, "smollm");
  EXPECT_FALSE(v.bos || v.eos || v.padding || v.adds_bos);
  EXPECT_EQ(v.chat_template, "");
}

TEST_F(BpeVocabularyTest, IsNothingWithoutTheFile) {
  EXPECT_FALSE(read_bpe_vocabulary(folder_, 7).has_value());
}

TEST_F(BpeVocabularyTest, TakesMergesAsTexts) {
  Json json = tokenizer();
  json["model"]["merges"] = {"a b", "ab a"};
  EXPECT_THAT(read(json).merges, ElementsAre("a b", "ab a"));
}

TEST_F(BpeVocabularyTest, ReadsTheConfig) {
  write("tokenizer_config.json",
        R"({"bos_token":{"content":"a"},"eos_token":"<gap>","pad_token":null,)"
        R"("add_bos_token":false,"chat_template":[{"name":"tool","template":"no"},)"
        R"({"name":"default","template":"yes"}]})");
  BpeVocabulary v = read(tokenizer());
  EXPECT_EQ(v.bos, 1);
  EXPECT_EQ(v.eos, 5);
  EXPECT_EQ(v.padding, std::nullopt);
  EXPECT_EQ(v.adds_bos, false);
  EXPECT_EQ(v.chat_template, "yes");
  write("chat_template.jinja", "of its own file");
  EXPECT_EQ(read(tokenizer()).chat_template, "of its own file");
  write("tokenizer_config.json", R"({"bos_token":"<s>"})");
  EXPECT_THAT(fault(tokenizer()), HasSubstr("bos_token '<s>' is no token"));
}

// The two expressions as their models' tokenizer.json has them.
TEST(PreTokenizer, IsNamedByTable) {
  const std::string qwen2 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
      "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const std::string ling =
      "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
      "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
  EXPECT_EQ(pre_tokenizer_name("x", digits()), "smollm");
  EXPECT_EQ(pre_tokenizer_name("x", split(qwen2)), "qwen2");
  EXPECT_EQ(pre_tokenizer_name("x", split(ling)), "bailingmoe");

  Json grouped = digits();
  grouped["pretokenizers"][0]["individual_digits"] = false;
  Json spaced = digits();
  spaced["pretokenizers"][1]["add_prefix_space"] = true;
  Json unnamed = digits();
  unnamed["pretokenizers"][1].erase("add_prefix_space");  // true by default
  Json removed = split(qwen2);
  removed["pretokenizers"][0]["behavior"] = "Removed";
  Json inverted = split(qwen2);
  inverted["pretokenizers"][0]["invert"] = true;
  Json twice = split(qwen2);
  twice["pretokenizers"][1]["use_regex"] = true;
  for (const Json& json : {grouped, spaced, unnamed, removed, inverted, twice, split("\\p{L}+"),
                           byte_level(true), Json(), Json(3), Json::array()}) {
    EXPECT_THROW(pre_tokenizer_name("x", json), Error) << json;
  }
}

TEST_F(BpeVocabularyTest, RefusesByTable) {
  struct Case {
    std::string pointer;  // in tokenizer()
    Json value;
    std::string want;
  };
  const Case cases[] = {
      {"/model/type", "Unigram", "of type \"Unigram\", and BPE is read"},
      {"/model/byte_fallback", true, "model.byte_fallback is set"},
      {"/model/ignore_merges", true, "model.ignore_merges is set"},
      {"/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix is set"},
      {"/normalizer", {{"type", "Lowercase"}}, "normalizer is \"Lowercase\""},
      {"/pre_tokenizer", nullptr, "tools/convert_dllm.py"},
      {"/model/vocab", nullptr, "model.vocab is missing"},
      {"/model/merges", nullptr, "model.merges is missing"},
      {"/model/merges", Json::parse(R"([["a", "b", "c"]])"), "a merge is a JSON array"},
      {"/model/merges", Json::parse(R"([["a", 3]])"), "a merge is a JSON number"},
      {"/model/vocab/a", 7, "token 'a' has id 7, and the embedding has 7 rows"},
      {"/model/vocab/a", -1, "token 'a' has no id"},
      {"/model/vocab/a", "1", "token 'a' has no id"},
      {"/model/vocab/a", 2, "both have id 2"},
      {"/added_tokens/0", 3, "an added token is a JSON null"},
      {"/added_tokens/0/id", 1, "both have id 1"},
      {"/added_tokens/0/content", std::string("a\0b", 3), "holds a NUL"},
  };
  for (const Case& c : cases) {
    Json json = tokenizer();
    json[Json::json_pointer(c.pointer)] = c.value;
    EXPECT_THAT(fault(json), HasSubstr(c.want)) << c.pointer;
    EXPECT_THAT(fault(json), HasSubstr("tokenizer.json: ")) << c.pointer;
  }
}

}  // namespace
}  // namespace reprise
