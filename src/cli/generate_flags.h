#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/compute_flags.h"
#include "engines/generate/answer.h"
#include "nets/decoder_model.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// Flags that every verb takes which generates text with a causal model.
struct GenerateFlags {
  std::string model;
  std::string kv = "full";
  bool is_exact = false;
  ComputeFlags compute;
  int32_t n_ctx = 0;  // 0: as the verb chooses
  std::string chat_template;
  std::string system;
  std::string grammar_path;
  AnswerOptions answer;

  // The KV policy of --kv, or `full` with --exact. Throws Error.
  std::shared_ptr<const KvPolicy> policy() const;
  // Its text, as the ledger names it.
  const std::string& policy_text() const;
  // Tokens of context: --ctx, or what the model was trained for. Throws Error when that is less.
  int32_t context(const DecoderHparams& hp) const;
  // The answer's options with the grammar read from its file. Throws Error.
  AnswerOptions checked_answer() const;
};

// Adds the flags to a verb; --max-tokens defaults to max_tokens.
void add_generate_flags(CLI::App& verb, GenerateFlags& flags, int32_t max_tokens);

}  // namespace reprise
