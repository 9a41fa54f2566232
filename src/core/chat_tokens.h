#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/chat_template.h"

namespace reprise {

class GgufFile;
class Tokenizer;

// What a chat template must know of the model: bos and eos from the file's metadata
// (tokenizer.ggml.bos_token_id, eos_token_id; empty when not declared), and the texts that
// `tokenizer` turns into tokens only with parse_special = true. Throws Error when an id is beyond
// the vocabulary.
SpecialTexts special_texts(const GgufFile& model, const Tokenizer& tokenizer);

// Tokens of a rendered conversation: no text of a message becomes a control token. The template
// itself writes bos where the model wants it, so none is added. Throws Error.
std::vector<int32_t> tokenize_chat(const Tokenizer& tokenizer,
                                   std::span<const ChatSegment> segments);

}  // namespace reprise
