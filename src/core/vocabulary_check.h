#pragma once

#include <span>
#include <string_view>

namespace reprise {

class GgufFile;

// Refuses a vocabulary that libllama 0.3.36 would abort on, read beyond its end or lose text with:
// an unknown kind (gpt2, llama and bert are known), tokens that are empty, equal, longer than 4,096
// bytes or hold a NUL, counts that differ from the embedding's rows, token types and ids beyond
// their range, malformed merges, missing byte tokens, a BOS or EOS that is asked for and absent.
// What stands in libllama's code and not in the file (names of pre-tokenizers, which of them add a
// BOS) Tokenizer::load checks. Throws Error.
void check_vocabulary(const GgufFile& file);

// The metadata keys of single token ids that libllama reads.
std::span<const std::string_view> special_token_keys();

}  // namespace reprise
