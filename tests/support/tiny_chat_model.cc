#include "support/tiny_chat_model.h"

#include <vector>

#include "support/tiny_vocabulary.h"

namespace reprise::test {
namespace {

// The characters with which GPT-2's alphabet writes bytes: printable ones stand for themselves, the
// others are moved to U+0100 and on.
std::string byte_character(int32_t byte, int32_t& n_moved) {
  const bool is_printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
  const int32_t code = is_printable ? byte : 0x100 + n_moved++;
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

// Token types as libllama numbers them.
enum Type : int32_t { kNormal = 1, kControl = 3 };

struct Vocabulary {
  std::vector<std::string> tokens;  // the first 256 are the bytes, in order
  std::vector<int32_t> types;
  uint32_t bos = 0;
  uint32_t eos = 0;

  Vocabulary() {
    int32_t n_moved = 0;
    for (int32_t byte = 0; byte < 256; ++byte) tokens.push_back(byte_character(byte, n_moved));
    tokens.emplace_back("he");
    types.assign(tokens.size(), kNormal);
    bos = add_control("<|im_start|>");
    eos = add_control("<|im_end|>");
  }

 private:
  uint32_t add_control(const char* text) {
    tokens.emplace_back(text);
    types.push_back(kControl);
    return static_cast<uint32_t>(tokens.size() - 1);
  }
};

void write(const Vocabulary& vocabulary, gguf_context* file) {
  gguf_set_val_str(file, "tokenizer.ggml.model", "gpt2");
  gguf_set_val_str(file, "tokenizer.ggml.pre", "gpt-2");
  set_strings(file, "tokenizer.ggml.tokens", vocabulary.tokens);
  gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, vocabulary.types.data(),
                    vocabulary.types.size());
  set_strings(file, "tokenizer.ggml.merges", {"h e"});
  gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", vocabulary.bos);
  gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", vocabulary.eos);
  gguf_set_val_str(file, "tokenizer.chat_template", kChatMl);
}

}  // namespace

TinyModel tiny_chat_model(TinyModel model) {
  const Vocabulary vocabulary;
  model.n_vocab = static_cast<int32_t>(vocabulary.tokens.size());
  model.edit_metadata = [vocabulary](gguf_context* file) { write(vocabulary, file); };
  model.edit_tensor = [](TinyTensor& tensor) {
    // A row of zeros gives the logit 0, which the best of 95 random ones beats.
    if (tensor.name == "output.weight") {
      tensor.row_begin = 0x20;
      tensor.row_end = 0x7f;
    }
    return true;
  };
  return model;
}

}  // namespace reprise::test
