#include "core/bpe_vocabulary.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/printable.h"
#include "core/strict_json.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Token types as libllama numbers them.
enum Type : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

// A Split pre-tokenizer's expression in tokenizer.json, and llama.cpp's name for it.
struct NamedPattern {
  std::string_view regex;
  const char* name;
};
constexpr NamedPattern kPatterns[] = {
    // Qwen2, Dream
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    // Ling, whose tokenizer LLaDA-8B has too
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
     "bailingmoe"},
};

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw Error(fmt::format("{}: {}; fetch the checkpoint again", path, what));
}
[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(
      fmt::format("{}: {}; convert the model to GGUF with tools/convert_dllm.py", path, what));
}

// The value of a key, or null. `json` may be anything.
const Json& member(const Json& json, const char* key) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(key);
  return found == json.end() ? kNull : *found;
}

bool is_flag(const Json& json, const char* key, bool value, bool fallback) {
  const Json& found = member(json, key);
  return (found.is_boolean() ? found.get<bool>() : fallback) == value;
}

bool is_byte_level(const Json& json, bool uses_regex) {
  return member(json, "type") == "ByteLevel" && is_flag(json, "add_prefix_space", false, true) &&
         is_flag(json, "use_regex", uses_regex, true);
}

std::string text_of(const std::string& path, const Json& value, const std::string& what) {
  if (!value.is_string()) fail(path, fmt::format("{} is a JSON {}", what, value.type_name()));
  std::string text = value.get<std::string>();
  // libllama reads C strings.
  if (text.find('\0') != std::string::npos)
    refuse(path, fmt::format("{} ('{}') holds a NUL", what, printable(text)));
  return text;
}

// tokenizer.json.
class TokenizerJson {
 public:
  TokenizerJson(std::string path, int64_t n_rows)
      : path_(std::move(path)), json_(read_strict_json(path_)), n_rows_(n_rows) {}

  BpeVocabulary read() {
    check_kind();
    BpeVocabulary out;
    out.pre_tokenizer = pre_tokenizer_name(path_, member(json_, "pre_tokenizer"));
    out.tokens.resize(n_rows_);
    out.types.assign(n_rows_, kUnused);
    const Json& vocab = member(member(json_, "model"), "vocab");
    if (!vocab.is_object()) fail(path_, "model.vocab is missing");
    for (const auto& [text, id] : vocab.items())
      add(out, text_of(path_, text, "a token"), id, kNormal);
    const Json& added = member(json_, "added_tokens");
    if (added.is_array()) {
      for (const Json& token : added) {
        const std::string text = text_of(path_, member(token, "content"), "an added token");
        add(out, text, member(token, "id"),
            is_flag(token, "special", true, false) ? kControl : kUserDefined);
      }
    }
    for (int64_t id = 0; id < n_rows_; ++id)
      if (out.types[id] == kUnused) out.tokens[id] = fmt::format("[PAD{}]", id);
    read_merges(out);
    return out;
  }

 private:
  void check_kind() const {
    const Json& model = member(json_, "model");
    if (member(model, "type") != "BPE") {
      refuse(path_, fmt::format("the tokenizer is of type {}, and BPE is read",
                                printable(member(model, "type").dump())));
    }
    for (const char* key : {"byte_fallback", "ignore_merges"})
      if (!is_flag(model, key, false, false)) refuse(path_, fmt::format("model.{} is set", key));
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& affix = member(model, key);
      if (!affix.is_null() && !(affix.is_string() && affix.get_ref<const std::string&>().empty()))
        refuse(path_, fmt::format("model.{} is set", key));
    }
    // NFC leaves composed text as it is; libllama has none, and llama.cpp's converter drops it.
    const Json& normalizer = member(json_, "normalizer");
    if (!normalizer.is_null() && member(normalizer, "type") != "NFC") {
      refuse(path_, fmt::format("the normalizer is {}, and none or NFC is read",
                                printable(member(normalizer, "type").dump())));
    }
  }

  void add(BpeVocabulary& out, const std::string& text, const Json& id_json, Type type) const {
    if (!id_json.is_number_unsigned())
      fail(path_, fmt::format("token '{}' has no id", printable(text)));
    const auto id = id_json.get<uint64_t>();
    if (id >= static_cast<uint64_t>(n_rows_)) {
      fail(path_, fmt::format("token '{}' has id {}, and the embedding has {} rows",
                              printable(text), id, n_rows_));
    }
    if (out.types[id] != kUnused && out.tokens[id] != text) {
      fail(path_, fmt::format("tokens '{}' and '{}' both have id {}", printable(out.tokens[id]),
                              printable(text), id));
    }
    out.tokens[id] = text;
    out.types[id] = type;
  }

  void read_merges(BpeVocabulary& out) const {
    const Json& merges = member(member(json_, "model"), "merges");
    if (!merges.is_array()) fail(path_, "model.merges is missing");
    for (const Json& merge : merges) {
      const bool is_pair = merge.is_array() && merge.size() == 2;
      out.merges.push_back(is_pair ? text_of(path_, merge[0], "a merge") + ' ' +
                                         text_of(path_, merge[1], "a merge")
                                   : text_of(path_, merge, "a merge"));
    }
  }

  std::string path_;
  Json json_;
  int64_t n_rows_;
};

// tokenizer_config.json, or an empty object.
class TokenizerConfig {
 public:
  explicit TokenizerConfig(const fs::path& path) : path_(path.string()), json_(Json::object()) {
    std::error_code error;
    if (fs::exists(path, error)) json_ = read_strict_json(path_);
  }

  // A token by its text, given alone or as an object with its content.
  std::optional<int32_t> id(const char* key,
                            const std::unordered_map<std::string_view, int32_t>& ids) const {
    const Json& value = member(json_, key);
    if (value.is_null()) return std::nullopt;
    const std::string text =
        text_of(path_, value.is_object() ? member(value, "content") : value, key);
    const auto found = ids.find(text);
    if (found == ids.end())
      fail(path_, fmt::format("{} '{}' is no token of the vocabulary", key, printable(text)));
    return found->second;
  }

  std::optional<bool> flag(const char* key) const {
    const Json& value = member(json_, key);
    return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
  }

  // The one template, or the one named "default" of several.
  std::string chat_template() const {
    const Json& value = member(json_, "chat_template");
    if (value.is_string()) return text_of(path_, value, "chat_template");
    if (!value.is_array()) return "";
    for (const Json& entry : value) {
      if (member(entry, "name") == "default")
        return text_of(path_, member(entry, "template"), "chat_template");
    }
    return "";
  }

 private:
  std::string path_;
  Json json_;
};

}  // namespace

std::string pre_tokenizer_name(const std::string& path, const Json& pre_tokenizer) {
  const Json& parts = member(pre_tokenizer, "pretokenizers");
  if (member(pre_tokenizer, "type") == "Sequence" && parts.is_array() && parts.size() == 2) {
    const Json& first = parts[0];
    if (member(first, "type") == "Digits" && is_flag(first, "individual_digits", true, false) &&
        is_byte_level(parts[1], true)) {
      return "smollm";
    }
    if (member(first, "type") == "Split" && member(first, "behavior") == "Isolated" &&
        is_flag(first, "invert", false, false) && is_byte_level(parts[1], false)) {
      for (const NamedPattern& known : kPatterns)
        if (member(member(first, "pattern"), "Regex") == known.regex) return known.name;
    }
  }
  refuse(path, fmt::format("the pre-tokenizer {} is not one that is known here",
                           printable(pre_tokenizer.dump())));
}

std::optional<BpeVocabulary> read_bpe_vocabulary(const std::string& folder, int64_t n_rows) {
  const fs::path path(folder);
  std::error_code error;
  if (!fs::exists(path / "tokenizer.json", error)) return std::nullopt;
  BpeVocabulary out = TokenizerJson((path / "tokenizer.json").string(), n_rows).read();
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < out.tokens.size(); ++id)
    ids.emplace(out.tokens[id], static_cast<int32_t>(id));
  const TokenizerConfig config(path / "tokenizer_config.json");
  out.bos = config.id("bos_token", ids);
  out.eos = config.id("eos_token", ids);
  out.padding = config.id("pad_token", ids);
  out.adds_bos = config.flag("add_bos_token");
  out.chat_template = config.chat_template();
  const fs::path jinja = path / "chat_template.jinja";
  if (fs::exists(jinja, error)) {
    const MappedFile file(jinja.string());
    const auto* text = reinterpret_cast<const char*>(file.bytes().data());
    out.chat_template =
        text_of(jinja.string(), Json(std::string(text, file.bytes().size())), "the chat template");
  }
  return out;
}

}  // namespace reprise
