#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct llama_model;
struct llama_vocab;

namespace reprise {

class GgufFile;

// Text to tokens and back, through libllama on a vocabulary-only model: no weights, no context.
class Tokenizer {
 public:
  // Takes the vocabulary that check_vocabulary accepts. libllama sees the keys that it reads and
  // nothing else of the file. Throws Error.
  static Tokenizer load(const GgufFile& file);

  int32_t n_vocab() const;
  // Tokens of UTF-8 text. `parse_special` turns the text of control tokens into those tokens.
  // Throws Error for text that is not UTF-8 or above 16 MiB.
  std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special) const;
  // Bytes of one token; may be a part of a UTF-8 character. Control tokens give nothing.
  std::string piece(int32_t token) const;
  std::string detokenize(std::span<const int32_t> tokens) const;
  bool is_end(int32_t token) const;  // ends a turn or the text
  int32_t bos() const;               // -1 when there is none
  int32_t eos() const;               // -1 when there is none
  const llama_vocab* vocab() const;

 private:
  explicit Tokenizer(std::shared_ptr<llama_model> model) : model_(std::move(model)) {}
  std::shared_ptr<llama_model> model_;
};

}  // namespace reprise
