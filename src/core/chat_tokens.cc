#include "core/chat_tokens.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/tokenizer.h"
#include "llama.h"

namespace reprise {
namespace {

std::string token_text(const GgufFile& model, std::string_view key) {
  if (!model.has(key)) return "";
  const int64_t id = model.integer(key);
  const auto& tokens = model.strings("tokenizer.ggml.tokens");
  if (id < 0 || id >= static_cast<int64_t>(tokens.size())) {
    throw Error(fmt::format("{}: {} is {}, the vocabulary has {} tokens; convert the model again",
                            model.path(), key, id, tokens.size()));
  }
  return tokens[static_cast<size_t>(id)];
}

}  // namespace

SpecialTexts special_texts(const GgufFile& model, const Tokenizer& tokenizer) {
  SpecialTexts out;
  out.bos = token_text(model, "tokenizer.ggml.bos_token_id");
  out.eos = token_text(model, "tokenizer.ggml.eos_token_id");
  // The tokenizer and not the file is asked: libllama makes control tokens of some that the file
  // declares otherwise. With parse_special = false it skips exactly these two kinds.
  for (int32_t i = 0; i < tokenizer.n_vocab(); ++i) {
    const int kind = llama_vocab_get_attr(tokenizer.vocab(), i);
    if ((kind & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) {
      out.control.emplace_back(llama_vocab_get_text(tokenizer.vocab(), i));
    }
  }
  return out;
}

std::vector<int32_t> tokenize_chat(const Tokenizer& tokenizer,
                                   std::span<const ChatSegment> segments) {
  std::vector<int32_t> out;
  for (const ChatSegment& segment : segments) {
    const auto tokens = tokenizer.tokenize(segment.text, /*add_special=*/false, !segment.is_input);
    out.insert(out.end(), tokens.begin(), tokens.end());
  }
  return out;
}

}  // namespace reprise
