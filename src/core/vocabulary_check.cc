#include "core/vocabulary_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/printable.h"

namespace reprise {
namespace {

constexpr size_t kMaxTokens = size_t{1} << 24;
constexpr size_t kMaxTokenBytes = 4096;             // the longest of real vocabularies has 1,024
constexpr size_t kMaxPieceBytes = size_t{1} << 30;  // of all pieces together
constexpr int64_t kByteType = 6;                    // LLAMA_TOKEN_TYPE_BYTE, the largest

using Strings = std::vector<std::string>;
using Ids = std::unordered_map<std::string_view, size_t>;

[[noreturn]] void fail(const GgufFile& file, const std::string& what) {
  throw Error(fmt::format("{}: {}; convert the model again", file.path(), what));
}

std::string key(std::string_view name) { return fmt::format("tokenizer.ggml.{}", name); }

// How libllama writes a byte for which the vocabulary has no character.
std::string byte_token(uint32_t byte) { return fmt::format("<0x{:02X}>", byte); }

bool is_byte_token(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with('>') &&
         std::isxdigit(static_cast<unsigned char>(text[3])) != 0 &&
         std::isxdigit(static_cast<unsigned char>(text[4])) != 0;
}

std::string kind_of(const GgufFile& file) {
  std::string kind = file.string(key("model"));
  if (kind == "none" || kind == "no_vocab") {
    throw Error(
        fmt::format("{}: has no vocabulary; convert the model with its tokenizer", file.path()));
  }
  if (kind != "gpt2" && kind != "llama" && kind != "bert") {
    throw Error(fmt::format("{}: tokenizer '{}' is not built in; gpt2, llama and bert are",
                            file.path(), printable(kind)));
  }
  return kind;
}

Ids check_tokens(const GgufFile& file, const Strings& tokens) {
  if (tokens.empty() || tokens.size() > kMaxTokens)
    fail(file,
         fmt::format("the vocabulary has {} tokens, expected 1 to {}", tokens.size(), kMaxTokens));
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (embedding != nullptr && embedding->ne[1] != static_cast<int64_t>(tokens.size())) {
    fail(file, fmt::format("the vocabulary has {} tokens, 'token_embd.weight' {} rows",
                           tokens.size(), embedding->ne[1]));
  }
  Ids ids;
  ids.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    const std::string& text = tokens[id];
    if (text.empty()) fail(file, fmt::format("token {} is empty", id));
    if (text.size() > kMaxTokenBytes) {
      fail(file, fmt::format("token {} has {} bytes, at most {} are read", id, text.size(),
                             kMaxTokenBytes));
    }
    // libllama reads tokens as C strings.
    if (text.find('\0') != std::string::npos)
      fail(file, fmt::format("token {} ('{}') holds a NUL", id, printable(text)));
    const auto [first, is_new] = ids.emplace(text, id);
    if (!is_new)
      fail(file, fmt::format("tokens {} and {} are both '{}'", first->second, id, printable(text)));
  }
  return ids;
}

void check_types(const GgufFile& file, const std::string& kind, const Strings& tokens) {
  if (kind != "llama" && !file.has(key("token_type"))) return;
  const std::vector<int64_t>& types = file.integers(key("token_type"));
  if (types.size() != tokens.size()) {
    fail(file, fmt::format("the vocabulary has {} tokens and {} token types", tokens.size(),
                           types.size()));
  }
  for (size_t id = 0; id < types.size(); ++id) {
    if (types[id] < 0 || types[id] > kByteType)
      fail(file, fmt::format("token {} has the unknown type {}", id, types[id]));
    if (types[id] == kByteType && (kind == "bert" || !is_byte_token(tokens[id]))) {
      fail(file, fmt::format("token {} ('{}') is declared a byte, expected <0x00> to <0xFF>", id,
                             printable(tokens[id])));
    }
  }
}

void check_scores(const GgufFile& file, const std::string& kind, size_t n_tokens) {
  const auto found = file.metadata().find(key("scores"));
  if (kind != "llama" && found == file.metadata().end()) return;
  size_t n_scores = 0;
  if (found != file.metadata().end() &&
      std::holds_alternative<std::vector<int64_t>>(found->second)) {
    n_scores = file.integers(key("scores")).size();
  } else {
    const std::vector<double>& scores = file.reals(key("scores"));
    n_scores = scores.size();
    // They order a heap: a NaN has no place in it.
    if (std::any_of(scores.begin(), scores.end(), [](double s) { return !std::isfinite(s); }))
      fail(file, "a token score is no finite number");
  }
  if (n_scores != n_tokens)
    fail(file, fmt::format("the vocabulary has {} tokens and {} scores", n_tokens, n_scores));
}

void check_merges(const GgufFile& file) {
  const Strings& merges = file.strings(key("merges"));
  if (merges.size() > kMaxTokens)
    fail(file, fmt::format("{} merges, at most {} are read", merges.size(), kMaxTokens));
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string& merge = merges[i];
    const size_t space = merge.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string::npos || merge.find('\0') != std::string::npos) {
      fail(file, fmt::format("merge {} is '{}', expected two parts with a space between", i,
                             printable(merge)));
    }
  }
}

// Every character outside GPT-2's alphabet turns into its code and a copy of the whole token: the
// pieces of a hostile vocabulary would fill any memory.
void check_piece_bytes(const GgufFile& file, const Strings& tokens) {
  constexpr size_t kCodeBytes = 24;
  size_t n_bytes = 0;
  for (const std::string& text : tokens) {
    const auto is_foreign = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
    const auto n_foreign = static_cast<size_t>(std::count_if(text.begin(), text.end(), is_foreign));
    n_bytes += text.size() + n_foreign * (text.size() + kCodeBytes);
  }
  if (n_bytes > kMaxPieceBytes)
    fail(file, fmt::format("the tokens may decode to {} bytes, at most {} are taken", n_bytes,
                           kMaxPieceBytes));
}

// SentencePiece falls back to bytes and throws where one is missing.
void check_bytes(const GgufFile& file, const Ids& ids) {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const std::string code = byte_token(byte);
    const char raw = static_cast<char>(byte);
    if (ids.count(code) == 0 && ids.count(std::string_view(&raw, 1)) == 0)
      fail(file, fmt::format("the vocabulary has no token {}", code));
  }
}

// libllama's id where the file gives none.
struct DefaultId {
  std::string_view kind, name;
  int64_t id;
};
constexpr DefaultId kDefaultIds[] = {{"llama", "bos_token_id", 1},
                                     {"llama", "eos_token_id", 2},
                                     {"bert", "bos_token_id", 101},
                                     {"bert", "unknown_token_id", 100},
                                     {"bert", "seperator_token_id", 102}};

// BPE has defaults as well, which fit Falcon alone: there the file must tell.
void check_present(const GgufFile& file, const std::string& kind, std::string_view name,
                   size_t n_tokens, std::string_view reason) {
  if (file.has(key(name))) return;
  for (const DefaultId& entry : kDefaultIds) {
    if (entry.kind == kind && entry.name == name && entry.id < static_cast<int64_t>(n_tokens))
      return;
  }
  fail(file, fmt::format("{} is missing, and {}", key(name), reason));
}

void check_special_tokens(const GgufFile& file, const std::string& kind, size_t n_tokens) {
  for (const std::string_view name : special_token_keys()) {
    if (!file.has(name)) continue;
    const int64_t id = file.integer(name);
    if (id < 0 || id >= static_cast<int64_t>(n_tokens))
      fail(file, fmt::format("{} is {}, the vocabulary has {} tokens", name, id, n_tokens));
  }
  if (file.boolean_or(key("add_bos_token"), false))
    check_present(file, kind, "bos_token_id", n_tokens, "add_bos_token asks for it");
  if (file.boolean_or(key("add_eos_token"), false))
    check_present(file, kind, "eos_token_id", n_tokens, "add_eos_token asks for it");
  if (kind == "bert") {
    for (const auto* name : {"bos_token_id", "unknown_token_id", "seperator_token_id"})
      check_present(file, kind, name, n_tokens, "a bert vocabulary needs it");
  }
}

// libllama gives four tokens of models with this name attributes of their own, unseen.
void check_phi3(const GgufFile& file, const Ids& ids) {
  std::string name = file.string_or("general.name", "");
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return;
  for (const auto* text : {"</s>", "<unk>", "<s>", "<|endoftext|>"}) {
    if (ids.count(text) == 0)
      fail(file, fmt::format("general.name says Phi-3, the vocabulary has no token {}", text));
  }
}

}  // namespace

std::span<const std::string_view> special_token_keys() {
  static constexpr std::array<std::string_view, 18> kKeys = {
      "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
      "tokenizer.ggml.eot_token_id",     "tokenizer.ggml.eom_token_id",
      "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.seperator_token_id",
      "tokenizer.ggml.padding_token_id", "tokenizer.ggml.mask_token_id",
      "tokenizer.ggml.cls_token_id",     "tokenizer.ggml.fim_pre_token_id",
      "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_mid_token_id",
      "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
      "tokenizer.ggml.fim_sep_token_id", "tokenizer.ggml.prefix_token_id",
      "tokenizer.ggml.suffix_token_id",  "tokenizer.ggml.middle_token_id"};
  return kKeys;
}

void check_vocabulary(const GgufFile& file) {
  const std::string kind = kind_of(file);
  const Strings& tokens = file.strings(key("tokens"));
  const Ids ids = check_tokens(file, tokens);
  check_types(file, kind, tokens);
  check_scores(file, kind, tokens.size());
  if (kind == "gpt2") {
    // It alone lets spaces through to the merges, where libllama aborts on them. As a C string, for
    // so libllama reads it.
    const std::string pre = file.string_or(key("pre"), "");
    if (std::string_view(pre.c_str()) == "whitespace")
      throw Error(fmt::format("{}: pre-tokenizer 'whitespace' is not built in", file.path()));
    check_merges(file);
    check_piece_bytes(file, tokens);
  }
  if (kind == "llama") check_bytes(file, ids);
  check_special_tokens(file, kind, tokens.size());
  check_phi3(file, ids);
}

}  // namespace reprise
