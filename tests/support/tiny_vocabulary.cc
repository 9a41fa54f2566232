#include "support/tiny_vocabulary.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>

namespace reprise::test {
namespace {

// Token types as libllama numbers them.
enum Type : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

struct Tokens {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  std::vector<float> scores;

  void add(std::string text, Type type = kNormal) {
    texts.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(type == kNormal ? -static_cast<float>(scores.size()) : 0);
  }
  void write(gguf_context* file) const {
    set_strings(file, "tokenizer.ggml.tokens", texts);
    gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(),
                      types.size());
  }
};

void write_gpt2(gguf_context* file) {
  Tokens tokens;
  tokens.add("<|im_start|>", kControl);
  tokens.add("<|im_end|>", kControl);
  for (char c = '!'; c <= '~'; ++c) tokens.add(std::string(1, c));
  tokens.add("\u010A");  // how GPT-2's alphabet writes the line break
  tokens.add("\u0120");  // and the space
  tokens.add("he");
  tokens.write(file);
  set_strings(file, "tokenizer.ggml.merges", {"h e"});
  gguf_set_val_str(file, "tokenizer.ggml.pre", "gpt-2");
  gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", 0);
  gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", 1);
}

void write_llama(gguf_context* file) {
  Tokens tokens;
  tokens.add("<unk>", kUnknown);
  tokens.add("<s>", kControl);
  tokens.add("</s>", kControl);
  for (int byte = 0; byte < 256; ++byte) tokens.add(fmt::format("<0x{:02X}>", byte), kByte);
  tokens.add("\u2581");  // the space
  for (char c = 'a'; c <= 'z'; ++c) tokens.add(std::string(1, c));
  tokens.add("\u2581h");
  tokens.add("\u2581he");
  tokens.write(file);
  gguf_set_arr_data(file, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, tokens.scores.data(),
                    tokens.scores.size());
  gguf_set_val_bool(file, "tokenizer.ggml.add_bos_token", true);
  gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", 1);
  gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", 2);
}

void write_bert(gguf_context* file) {
  Tokens tokens;
  tokens.add("[PAD]", kControl);
  tokens.add("[UNK]", kControl);
  tokens.add("[CLS]", kControl);
  tokens.add("[SEP]", kControl);
  for (char c = 'a'; c <= 'z'; ++c) {
    tokens.add("\u2581" + std::string(1, c));
    tokens.add(std::string(1, c));
  }
  tokens.write(file);
  gguf_set_val_u32(file, "tokenizer.ggml.unknown_token_id", 1);
  gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", 2);
  gguf_set_val_u32(file, "tokenizer.ggml.seperator_token_id", 3);  // as GGUF spells it
}

}  // namespace

void add_tiny_vocabulary(gguf_context* file, const std::string& kind) {
  gguf_set_val_str(file, "tokenizer.ggml.model", kind.c_str());
  if (kind == "gpt2") write_gpt2(file);
  if (kind == "llama") write_llama(file);
  if (kind == "bert") write_bert(file);
}

std::vector<std::byte> tiny_vocabulary(const std::string& kind, const GgufEdit& edit) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), gguf_free);
  gguf_set_val_str(file.get(), "general.architecture", "llama");
  add_tiny_vocabulary(file.get(), kind);
  if (edit) edit(file.get());
  std::vector<std::byte> bytes(gguf_get_meta_size(file.get()));
  gguf_get_meta_data(file.get(), bytes.data());
  return bytes;
}

std::vector<std::string> get_strings(const gguf_context* file, const std::string& key) {
  const int64_t id = gguf_find_key(file, key.c_str());
  std::vector<std::string> values;
  values.reserve(gguf_get_arr_n(file, id));
  for (size_t i = 0; i < gguf_get_arr_n(file, id); ++i)
    values.emplace_back(gguf_get_arr_str(file, id, i));
  return values;
}

void set_strings(gguf_context* file, const std::string& key,
                 const std::vector<std::string>& values) {
  std::vector<const char*> texts;
  texts.reserve(values.size());
  for (const std::string& value : values) texts.push_back(value.c_str());
  gguf_set_arr_str(file, key.c_str(), texts.data(), texts.size());
}

}  // namespace reprise::test
