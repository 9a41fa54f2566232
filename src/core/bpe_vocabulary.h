#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace reprise {

// A byte-level BPE vocabulary as libllama wants it, read from a checkpoint folder's tokenizer.json,
// tokenizer_config.json and chat_template.jinja.
struct BpeVocabulary {
  std::vector<std::string> tokens;  // by id; "[PAD7]" where no token has id 7
  std::vector<int32_t> types;       // of each token, as libllama numbers them
  std::vector<std::string> merges;  // "a b", the first to be applied first
  std::string pre_tokenizer;        // as llama.cpp names it
  std::string chat_template;        // empty when there is none
  // Of tokenizer_config.json; nullopt when it does not tell.
  std::optional<int32_t> bos, eos, padding;
  std::optional<bool> adds_bos;  // in front of every text
};

// The vocabulary for an embedding of n_rows rows; nullopt for a folder without tokenizer.json.
// Added tokens are matched as they stand: their flags lstrip, rstrip and single_word have no
// counterpart in libllama. Throws Error: a tokenizer of another kind, a pre-tokenizer that libllama
// does not have, ids beyond the rows.
std::optional<BpeVocabulary> read_bpe_vocabulary(const std::string& folder, int64_t n_rows);

// llama.cpp's name for what tokenizer.json's "pre_tokenizer" says. Throws Error naming `path`.
std::string pre_tokenizer_name(const std::string& path, const nlohmann::json& pre_tokenizer);

}  // namespace reprise
