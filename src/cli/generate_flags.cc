#include "cli/generate_flags.h"

#include <fmt/format.h>

#include "cli/usage_error.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr size_t kMaxGrammarBytes = size_t{64} << 10;

}  // namespace

const std::string& GenerateFlags::policy_text() const {
  static const std::string kExact = "full";
  return is_exact ? kExact : kv;
}

std::shared_ptr<const KvPolicy> GenerateFlags::policy() const {
  return checked_flag([&] { return make_kv_policy(policy_text()); });
}

int32_t GenerateFlags::context(const DecoderHparams& hp) const {
  if (n_ctx > hp.n_ctx_train) {
    throw Error(fmt::format("--ctx {}: the model was trained for {} tokens; lower --ctx", n_ctx,
                            hp.n_ctx_train));
  }
  return n_ctx == 0 ? hp.n_ctx_train : n_ctx;
}

AnswerOptions GenerateFlags::checked_answer() const {
  AnswerOptions options = answer;
  checked_flag([&] { options.sampler.check(); });
  if (!grammar_path.empty()) options.sampler.grammar = read_file(grammar_path, kMaxGrammarBytes);
  options.sampler.check();
  return options;
}

void add_generate_flags(CLI::App& verb, GenerateFlags& flags, int32_t max_tokens) {
  flags.answer.max_tokens = max_tokens;
  verb.add_option("model", flags.model, "name of a model ('reprise list') or path of a GGUF file")
      ->required();
  verb.add_option("--kv", flags.kv,
                  "which KV entries to keep, NAME:key=value,...; 'reprise policies' explains them")
      ->capture_default_str();
  verb.add_flag("--exact", flags.is_exact, "turn every policy off");
  verb.add_option("--max-tokens", flags.answer.max_tokens, "longest answer, in tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb.add_option("--ctx", flags.n_ctx, "context in tokens; default: what is needed")
      ->check(CLI::Range(1, 1 << 24));
  add_compute_flags(verb, flags.compute);
  verb.add_option("--system", flags.system, "system message of the conversation");
  verb.add_option("--chat-template", flags.chat_template,
                  "template NAME or FILE instead of the model's own");
  SamplerOptions& sampler = flags.answer.sampler;
  const std::string group = "Sampling";
  verb.add_option("--temp", sampler.temp, "temperature, 0 takes the most probable token")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--top-k", sampler.top_k, "only the k most probable tokens, 0 for all")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--top-p", sampler.top_p, "only the most probable tokens that add up to p")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--min-p", sampler.min_p, "only tokens at least p times as probable as the best")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--repeat-penalty", sampler.repeat_penalty, "divide logits of recent tokens")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--repeat-last-n", sampler.repeat_last_n, "how many tokens are recent")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--seed", sampler.seed, "same seed, same answer")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  verb.add_option("--grammar", flags.grammar_path, "GBNF file that the answer must follow")
      ->group(group);
}

}  // namespace reprise
