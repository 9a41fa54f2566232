#include "cli/run.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/generate_flags.h"
#include "cli/run_ledger.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/interrupt.h"
#include "core/ledger.h"
#include "core/progress.h"
#include "engines/generate/answer.h"
#include "engines/generate/prompt.h"
#include "engines/generate/sequence.h"
#include "engines/generate/text_model.h"

namespace reprise {
namespace {

constexpr size_t kMaxDocumentBytes = size_t{256} << 20;

struct RunFlags {
  GenerateFlags generate;
  std::string prompt;
  std::string file;
  std::string truncate;
  std::string compress_after = "prompt";
  std::string ledger = "table";
  bool is_raw = false;
};

bool is_pipe(int descriptor) {
  struct stat status {};
  return fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

UserMessage read_message(const RunFlags& flags) {
  UserMessage user;
  user.question = flags.prompt;
  const bool reads_pipe = flags.file.empty() && is_pipe(STDIN_FILENO);
  const std::string path = reads_pipe ? "-" : flags.file;
  if (!path.empty()) {
    user.document = read_file(path, kMaxDocumentBytes);
    while (user.document.ends_with('\n')) user.document.pop_back();
  }
  if (user.text().empty()) {
    throw Error("nothing to answer: give a message with -p TEXT, a document with -f FILE, or both");
  }
  return user;
}

// Refuses, or cuts, a prompt that leaves no room for the answer.
void fit_context(const RunFlags& flags, const DecoderHparams& hp, Prompt& prompt) {
  const int32_t max_tokens = flags.generate.answer.max_tokens;
  const auto n_prompt = static_cast<int32_t>(prompt.tokens.size());
  const int32_t n_ctx = flags.generate.n_ctx == 0 ? hp.n_ctx_train : flags.generate.n_ctx;
  if (n_ctx > hp.n_ctx_train) {
    throw Error(fmt::format("--ctx {}: the model was trained for {} tokens; lower --ctx", n_ctx,
                            hp.n_ctx_train));
  }
  if (n_prompt + max_tokens <= n_ctx) return;
  if (flags.truncate.empty()) {
    throw Error(fmt::format(
        "the prompt has {} tokens and the answer may have {}, together {} more than the context of "
        "{}; shorten the prompt, lower --max-tokens{}, or cut its middle with --truncate middle",
        n_prompt, max_tokens, n_prompt + max_tokens - n_ctx, n_ctx,
        n_ctx < hp.n_ctx_train ? ", raise --ctx" : ""));
  }
  if (max_tokens + 2 > n_ctx) {
    throw Error(fmt::format("--max-tokens {} leaves no room for a prompt in a context of {}",
                            max_tokens, n_ctx));
  }
  const int32_t n_cut = cut_middle(prompt, n_ctx - max_tokens);
  fmt::print(stderr, "reprise: {} of {} prompt tokens were cut out of the middle\n", n_cut,
             n_prompt);
}

void print_choice(const TextModel& model, const TokenChoice& choice) {
  const auto show = [&](const TokenLogprob& t) {
    return fmt::format("{:?}:{:.3f}", model.tokenizer.piece(t.token), t.logprob);
  };
  std::string line = show(choice.chosen) + " |";
  for (const TokenLogprob& other : choice.top) line += " " + show(other);
  fmt::print(stderr, "{}\n", line);
}

}  // namespace
}  // namespace reprise
