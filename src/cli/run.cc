#include "cli/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/tokenizer.h"
#include "engines/generate/sequence.h"

namespace reprise {
namespace {

struct RunOptions {
  std::string model;
  std::string prompt;
  int32_t max_tokens = 256;
  int32_t n_threads = 0;
  bool is_raw = false;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(const RunOptions& options) {
  auto file = std::make_shared<GgufFile>(GgufFile::open(options.model));
  const auto model = DecoderModel::load(file);
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  const Backend backend(options.n_threads);
  Sequence sequence(model, backend);
  const std::string text =
      options.is_raw
          ? options.prompt
          : fmt::format("<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n", options.prompt);
  const std::vector<int32_t> tokens = tokenizer.tokenize(text, true, true);
  const auto n_prompt = static_cast<int32_t>(tokens.size());
  if (n_prompt + options.max_tokens > model->hparams().n_ctx_train) {
    throw Error(
        fmt::format("the prompt is {} tokens, with {} of answer it exceeds the model's context of "
                    "{}; shorten it",
                    n_prompt, options.max_tokens, model->hparams().n_ctx_train));
  }
  sequence.reserve(n_prompt + options.max_tokens);
  auto start = std::chrono::steady_clock::now();
  std::span<const float> logits = sequence.extend(tokens);
  const double prefill_s = seconds_since(start);
  start = std::chrono::steady_clock::now();
  int32_t n_answer = 0;
  while (n_answer < options.max_tokens) {
    const auto token =
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (tokenizer.is_end(token)) break;
    ++n_answer;
    const std::string piece = tokenizer.piece(token);
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
    logits = sequence.extend(std::span(&token, 1));
  }
  std::fputc('\n', stdout);
  fmt::print(stderr,
             "prompt {} tokens in {:.1f} s, answer {} tokens at {:.0f}/s, cache {:.1f} MiB\n",
             n_prompt, prefill_s, n_answer, n_answer / seconds_since(start),
             sequence.kv().n_bytes() / 1048576.0);
}

}  // namespace

void add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = app.add_subcommand("run", "one answer of a model, on standard output");
  verb->add_option("model", options->model, "path of a GGUF file")->required();
  verb->add_option("-p,--prompt", options->prompt, "the user's message")->required();
  verb->add_option("--max-tokens", options->max_tokens, "longest answer, in tokens")
      ->check(CLI::Range(1, 1 << 20));
  verb->add_option("--threads", options->n_threads, "compute threads, 0 for all cores");
  verb->add_flag("--raw", options->is_raw, "give the prompt as it is, without a chat template");
  verb->callback([options] { run(*options); });
}

}  // namespace reprise
