#include "core/vocabulary_check.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <random>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/tokenizer.h"
#include "support/tiny_vocabulary.h"

namespace reprise {
namespace {

using test::get_strings;
using test::GgufEdit;
using test::set_strings;
using test::tiny_vocabulary;
using ::testing::HasSubstr;

const std::string kTokens = "tokenizer.ggml.tokens";
const std::string kTypes = "tokenizer.ggml.token_type";

// What loading says, empty when it succeeds.
std::string fault_of(std::span<const std::byte> bytes) {
  try {
    Tokenizer::load(GgufFile::parse("x.gguf", bytes));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

GgufEdit with_tokens(const std::function<void(std::vector<std::string>&)>& edit) {
  return [edit](gguf_context* file) {
    auto tokens = get_strings(file, kTokens);
    edit(tokens);
    set_strings(file, kTokens, tokens);
  };
}

GgufEdit with_type(size_t id, int32_t type) {
  return [=](gguf_context* file) {
    const int64_t key = gguf_find_key(file, kTypes.c_str());
    const auto* found = static_cast<const int32_t*>(gguf_get_arr_data(file, key));
    std::vector<int32_t> types(found, found + gguf_get_arr_n(file, key));
    types[id] = type;
    gguf_set_arr_data(file, kTypes.c_str(), GGUF_TYPE_INT32, types.data(), types.size());
  };
}

GgufEdit with_scores(std::vector<float> scores) {
  return [scores = std::move(scores)](gguf_context* file) {
    gguf_set_arr_data(file, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(),
                      scores.size());
  };
}

GgufEdit with_merges(std::vector<std::string> merges) {
  return [merges = std::move(merges)](gguf_context* file) {
    set_strings(file, "tokenizer.ggml.merges", merges);
  };
}

GgufEdit with_id(const std::string& name, uint32_t id) {
  return
      [=](gguf_context* file) { gguf_set_val_u32(file, ("tokenizer.ggml." + name).c_str(), id); };
}

GgufEdit with_text(const std::string& key, const std::string& text) {
  return [=](gguf_context* file) { gguf_set_val_str(file, key.c_str(), text.c_str()); };
}

GgufEdit without(const std::string& key) {
  return [=](gguf_context* file) { gguf_remove_key(file, key.c_str()); };
}

// `asking` set to true while `id` is missing.
GgufEdit asking_for(const std::string& asking, const std::string& id) {
  return [=](gguf_context* file) {
    gguf_set_val_bool(file, ("tokenizer.ggml." + asking).c_str(), true);
    gguf_remove_key(file, ("tokenizer.ggml." + id).c_str());
  };
}

struct Refusal {
  std::string kind;
  GgufEdit edit;
  std::string fault;
};

TEST(VocabularyCheck, RefusesByTable) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Refusal> rows = {
      {"gpt2", without("tokenizer.ggml.model"), "'tokenizer.ggml.model' is missing"},
      {"none", {}, "has no vocabulary"},
      {"t5", {}, "tokenizer 't5' is not built in"},
      {"gpt2", without(kTokens), "'tokenizer.ggml.tokens' is missing"},
      {"gpt2", with_text(kTokens, "a"), "'tokenizer.ggml.tokens' is not a list of strings"},
      {"gpt2", with_tokens([](auto& t) { t.clear(); }), "has 0 tokens, expected 1 to 16777216"},
      {"gpt2", with_tokens([](auto& t) { t[9] = ""; }), "token 9 is empty"},
      {"gpt2", with_tokens([](auto& t) { t[9] = std::string(4097, 'a'); }),
       "token 9 has 4097 bytes"},
      {"gpt2", with_tokens([](auto& t) { t[9] = t[4]; }), "tokens 4 and 9 are both '#'"},
      {"gpt2", with_tokens([](auto& t) { t.pop_back(); }), "98 tokens and 99 token types"},
      {"gpt2", with_type(5, 7), "token 5 has the unknown type 7"},
      {"gpt2", with_type(5, -1), "token 5 has the unknown type -1"},
      {"gpt2", with_type(5, 6), "token 5 ('$') is declared a byte"},
      {"llama", with_type(1, 6), "token 1 ('<s>') is declared a byte"},
      {"bert", with_type(5, 6), "is declared a byte"},
      {"llama", without(kTypes), "'tokenizer.ggml.token_type' is missing"},
      {"llama", without("tokenizer.ggml.scores"), "'tokenizer.ggml.scores' is missing"},
      {"gpt2", with_scores({1, 2}), "99 tokens and 2 scores"},
      {"gpt2", with_scores(std::vector<float>(99, nan)), "score is no finite number"},
      {"gpt2", with_text("tokenizer.ggml.scores", "a"), "is not a list of numbers"},
      {"gpt2", without("tokenizer.ggml.merges"), "'tokenizer.ggml.merges' is missing"},
      {"gpt2", with_merges({"h e", "he"}), "merge 1 is 'he'"},
      {"gpt2", with_merges({" e"}), "merge 0 is ' e'"},
      {"gpt2", with_merges({"h "}), "merge 0 is 'h '"},
      {"gpt2", with_merges({"h e l"}), "merge 0 is 'h e l'"},
      {"gpt2", with_merges({""}), "merge 0 is ''"},
      {"gpt2", with_text("tokenizer.ggml.pre", "no-such"), "unknown pre-tokenizer type: 'no-such'"},
      {"gpt2", with_text("tokenizer.ggml.pre", "whitespace"),
       "pre-tokenizer 'whitespace' is not built in"},
      {"gpt2",
       [](gguf_context* file) {
         gguf_set_val_str(file, "tokenizer.ggml.pre", "gemma4");  // adds a BOS unasked
         with_tokens([](auto& t) { t.resize(9); })(file);
         gguf_remove_key(file, kTypes.c_str());
         gguf_remove_key(file, "tokenizer.ggml.bos_token_id");
       },
       "'gemma4' adds a BOS or EOS token and the vocabulary has none"},
      {"llama", with_tokens([](auto& t) { t[3 + 0x41] = "<0xZZ>"; }), "is declared a byte"},
      {"llama",
       [](gguf_context* file) {
         with_tokens([](auto& t) { t[3 + 0x41] = "other"; })(file);
         with_type(3 + 0x41, 1)(file);
       },
       "has no token <0x41>"},
      {"gpt2", asking_for("add_bos_token", "bos_token_id"), "add_bos_token asks for it"},
      {"gpt2", asking_for("add_eos_token", "eos_token_id"), "add_eos_token asks for it"},
      {"bert", without("tokenizer.ggml.bos_token_id"), "a bert vocabulary needs it"},
      {"bert", without("tokenizer.ggml.unknown_token_id"), "a bert vocabulary needs it"},
      {"bert", without("tokenizer.ggml.seperator_token_id"), "a bert vocabulary needs it"},
      {"gpt2", with_text("tokenizer.ggml.add_bos_token", "yes"), "is not a truth value"},
      {"gpt2", with_text("tokenizer.ggml.add_space_prefix", "yes"), "is not a truth value"},
      {"gpt2", with_text("general.name", "Tiny Phi-3"), "general.name says Phi-3"},
      {"gpt2", without("general.architecture"), "unknown model architecture"},
      {"gpt2", with_text("general.architecture", "no-such"), "unknown model architecture"},
  };
  for (const Refusal& row : rows) {
    EXPECT_THAT(fault_of(tiny_vocabulary(row.kind, row.edit)), HasSubstr(row.fault));
  }
}

TEST(VocabularyCheck, RefusesEveryIdBeyondTheTokens) {
  for (const std::string_view key : special_token_keys()) {
    const auto name = std::string(key.substr(std::string_view("tokenizer.ggml.").size()));
    for (const uint32_t id : {99U, 0xFFFFFFFFU}) {
      EXPECT_THAT(fault_of(tiny_vocabulary("gpt2", with_id(name, id))),
                  HasSubstr(fmt::format("{} is {}, the vocabulary has 99 tokens", key, id)));
    }
    EXPECT_EQ(fault_of(tiny_vocabulary("gpt2", with_id(name, 98))), "") << key;
  }
}

TEST(VocabularyCheck, RefusesWhatANulHides) {
  std::vector<std::byte> bytes =
      tiny_vocabulary("gpt2", with_tokens([](auto& t) { t[9] = "@@x@@"; }));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  bytes[text.find("@@x@@") + 2] = std::byte{0};
  EXPECT_THAT(fault_of(bytes), HasSubstr("token 9 ('@@\\x00@@') holds a NUL"));

  bytes = tiny_vocabulary("gpt2", with_merges({"@@x @@"}));
  const std::string_view merge(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  bytes[merge.find("@@x @@") + 2] = std::byte{0};
  EXPECT_THAT(fault_of(bytes), HasSubstr("merge 0 is '@@\\x00 @@'"));

  bytes = tiny_vocabulary("gpt2", with_text("tokenizer.ggml.pre", "whitespace@"));
  const std::string_view pre(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  bytes[pre.find("whitespace@") + 10] = std::byte{0};
  EXPECT_THAT(fault_of(bytes), HasSubstr("pre-tokenizer 'whitespace' is not built in"));
}

// Each foreign character of a byte-level token decodes to a copy of the whole token.
TEST(VocabularyCheck, RefusesTokensThatDecodeToGigabytes) {
  const auto edit = with_tokens([](auto& tokens) {
    for (int i = 0; i < 250; ++i) {
      std::string token = fmt::format("{:04}", i);
      while (token.size() < 4090) token += "\u6F22";
      tokens.push_back(token);
    }
  });
  const auto bytes = tiny_vocabulary("gpt2", [&](gguf_context* file) {
    edit(file);
    gguf_remove_key(file, kTypes.c_str());
  });
  EXPECT_THAT(fault_of(bytes), HasSubstr("at most 1073741824 are taken"));
}

TEST(VocabularyCheck, TakesWholeVocabularies) {
  for (const std::string kind : {"gpt2", "llama", "bert"}) {
    const auto bytes = tiny_vocabulary(kind);
    const auto tokenizer = Tokenizer::load(GgufFile::parse("x.gguf", bytes));
    EXPECT_FALSE(tokenizer.tokenize("he is", true, true).empty()) << kind;
  }
}

TEST(VocabularyCheck, TakesTheVocabulariesOfLlamaCpp) {
  int32_t n_taken = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LLAMA_CPP_SOURCE "/models")) {
    if (entry.path().extension() != ".gguf") continue;
    const GgufFile file = GgufFile::open(entry.path());
    const std::string& kind = file.string("tokenizer.ggml.model");
    if (kind == "t5" || kind == "gemma4") {
      EXPECT_THROW(check_vocabulary(file), Error) << entry.path();
      continue;
    }
    EXPECT_NO_THROW(check_vocabulary(file)) << entry.path();
    ++n_taken;
  }
  EXPECT_EQ(n_taken, 17);
}

// One random change of the metadata.
void mutate_key(gguf_context* file, std::mt19937& rng) {
  const int64_t n_keys = gguf_get_n_kv(file);
  if (n_keys == 0) return;
  const auto id = static_cast<int64_t>(rng() % n_keys);
  const std::string key = gguf_get_key(file, id);
  const bool is_list = gguf_get_kv_type(file, id) == GGUF_TYPE_ARRAY;
  const bool is_texts = is_list && gguf_get_arr_type(file, id) == GGUF_TYPE_STRING;
  switch (rng() % 8) {
    case 0:
      gguf_remove_key(file, key.c_str());
      return;
    case 1:
      gguf_set_val_u32(file, key.c_str(), rng() % 2 == 0 ? rng() : rng() % 300);
      return;
    case 2:
      gguf_set_val_bool(file, key.c_str(), rng() % 2 == 0);
      return;
    case 3: {
      const char* texts[] = {"",       "gpt2",   "llama", "bert",       "none",    "default",
                             "gemma4", "tekken", "glm4",  "jina-v2-de", "kimi-k2", "phi-3"};
      gguf_set_val_str(file, key.c_str(), texts[rng() % std::size(texts)]);
      return;
    }
    case 4: {
      std::vector<int32_t> values(rng() % 400);
      for (int32_t& value : values) value = static_cast<int32_t>(rng() % 9);
      gguf_set_arr_data(file, key.c_str(), GGUF_TYPE_INT32, values.data(), values.size());
      return;
    }
    default:
      if (!is_texts) return;
      auto texts = get_strings(file, key);
      for (int n = static_cast<int>(rng() % 4); n >= 0 && !texts.empty(); --n) {
        std::string& text = texts[rng() % texts.size()];
        const char* parts[] = {"",       " ",       "<0x41>", "</s>", "\xFF", "\xF7\xBF\xBF\xBF",
                               "\u2581", "<|end|>", "a b"};
        if (rng() % 3 == 0) {
          text = parts[rng() % std::size(parts)];
        } else if (rng() % 2 == 0) {
          text += parts[rng() % std::size(parts)];
        } else {
          text = texts[rng() % texts.size()];
        }
      }
      if (rng() % 4 == 0) texts.resize(rng() % (texts.size() + 1));
      set_strings(file, key, texts);
  }
}

// One random change of the bytes.
void mutate_bytes(std::vector<std::byte>& bytes, std::mt19937& rng) {
  const size_t at = rng() % bytes.size();
  switch (rng() % 4) {
    case 0:
      bytes[at] = static_cast<std::byte>(rng());
      return;
    case 1:
      bytes[at] ^= static_cast<std::byte>(1U << (rng() % 8));
      return;
    case 2:
      bytes.resize(at + 1);
      return;
    default: {
      const size_t n = std::min<size_t>(rng() % 64, bytes.size() - at);
      const size_t from = rng() % (bytes.size() - n + 1);
      std::copy_n(std::vector(bytes.begin() + from, bytes.begin() + from + n).begin(), n,
                  bytes.begin() + at);
    }
  }
}

// Whatever the file says: an Error (false), or a tokenizer that tokenizes (true).
bool loads_or_refuses(std::span<const std::byte> bytes) {
  try {
    const auto tokenizer = Tokenizer::load(GgufFile::parse("x.gguf", bytes));
    const std::string text = "he said: <|im_start|>\u6F22\u5B57 12345 \n\t'll </s> <0x41>";
    for (const bool is_special : {false, true}) {
      const auto tokens = tokenizer.tokenize(text, is_special, is_special);
      for (const int32_t token : tokens) EXPECT_LT(token, tokenizer.n_vocab());
      EXPECT_LE(tokenizer.detokenize(tokens).size(), 4096 * tokens.size());
    }
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST(VocabularyCheck, MutationsNeverAbort) {
  int32_t n_loaded = 0;
  for (uint32_t seed = 0; seed < 1200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 rng(seed);
    const char* kinds[] = {"gpt2", "llama", "bert"};
    auto bytes = tiny_vocabulary(kinds[seed % 3], [&rng](gguf_context* file) {
      for (uint32_t n = rng() % 4; n > 0; --n) mutate_key(file, rng);
    });
    if (seed % 2 == 0) mutate_bytes(bytes, rng);
    n_loaded += loads_or_refuses(bytes) ? 1 : 0;
  }
  EXPECT_GT(n_loaded, 100);  // else the changes never reach libllama
  EXPECT_LT(n_loaded, 1100);
}

}  // namespace
}  // namespace reprise
