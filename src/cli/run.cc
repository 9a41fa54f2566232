#include "cli/run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "cli/answer_output.h"
#include "cli/exit_codes.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "cli/ledger_output.h"
#include "cli/progress.h"
#include "cli/run_flags.h"
#include "cli/run_infill.h"
#include "cli/span_recorder.h"
#include "core/error.h"
#include "core/process_age.h"
#include "core/quantities.h"
#include "engines/generate/answer.h"
#include "engines/generate/entry_cost.h"
#include "engines/generate/exact_check.h"
#include "engines/generate/prompt.h"
#include "engines/generate/sequence.h"
#include "engines/generate/text_ledger.h"
#include "engines/text_model.h"

namespace reprise {
namespace {

// Of each compute thread: some 30 MB in all of a thread's memory and 40 MB of the trace's file.
constexpr size_t kMostTraceSpans = 300000;
// A copy of the weights takes as long as it saves in 200 tokens at least (docs/benchmarks.md).
constexpr int32_t kTokensThatPayForACopy = 200;

// Refuses, or cuts, a prompt that leaves no room for the answer.
void fit_context(const RunFlags& flags, const DecoderHparams& hp, Prompt& prompt) {
  const int32_t max_tokens = flags.generate.answer.max_tokens;
  const auto n_prompt = static_cast<int32_t>(prompt.tokens.size());
  const int32_t n_ctx = flags.generate.context(hp);
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
  spdlog::info("{} of {} prompt tokens were cut out of the middle", format_count(n_cut),
               format_count(n_prompt));
}

Prompt make_prompt(const RunFlags& flags, const TextModel& model) {
  const UserMessage user = read_message(flags);
  if (flags.compress_after == "document" && user.document.empty()) {
    throw Error("--compress-after document: there is no document; give one with -f FILE");
  }
  Prompt prompt = flags.is_raw
                      ? raw_prompt(model, user)
                      : chat_prompt(model, chat_template_of(model, flags.generate.chat_template),
                                    flags.generate.system, user);
  fit_context(flags, model.decoder->hparams(), prompt);
  return prompt;
}

void print_exact(const ExactCheck& exact, const Ledger& ledger, const AnswerReport& answer) {
  const double saved_s = exact.decode_s - answer.decode_s;
  const LedgerAmount& estimate = ledger.units.front().saved;
  const std::string estimated =
      estimate.unit == LedgerAmount::Unit::kSeconds
          ? fmt::format(" (estimated: {})", format_seconds(estimate.value))
          : "";
  const double share = exact.n_steps > 0 ? 100.0 * exact.n_same_best / exact.n_steps : 100;
  fmt::print(stderr,
             "verify: --exact takes {} for the prompt and {} for the same {} answer tokens, so {} "
             "were {} in decode{} · its peak cache is {} · it finds {:.1f} % of the answer's "
             "tokens most probable too\n",
             format_seconds(exact.prefill_s), format_seconds(exact.decode_s), exact.n_steps,
             format_seconds(std::abs(saved_s)), saved_s >= 0 ? "saved" : "lost", estimated,
             format_bytes(exact.peak_kv_bytes), share);
}

int run(const CLI::App& verb, const RunFlags& flags) {
  const std::shared_ptr<const KvPolicy> policy = flags.generate.policy();
  const AnswerOptions options = flags.generate.checked_answer();
  const InfillChoice infill = infill_choice(verb, flags.infill, flags.generate);
  SpanRecorder spans;
  Backend backend = flags.generate.compute.backend();
  std::optional<OpTrace> trace;
  if (flags.ledger.kind == LedgerChoice::Kind::kTrace) {
    trace.emplace(backend.n_threads(), kMostTraceSpans);
    backend.set_trace(&*trace);
  }
  WeightPlace place = flags.generate.compute.weight_place(backend);
  if (place.host == WeightPlace::Host::kAuto && options.max_tokens < kTokensThatPayForACopy) {
    place.host = WeightPlace::Host::kMapped;
  }
  const std::shared_ptr<const TextModel> model =
      TextModel::load(flags.generate.model, place, TextKind::kAny);
  check_flags_of_kind(verb, *model);
  explain_weights(*model, flags.generate.compute);
  spans.add("load", "weights", model->weights_s);
  spans.add("load", "vocabulary", model->vocabulary_s);
  if (model->decoder->hparams().is_masked) {
    return run_infill(verb, flags, infill, {backend, *model, spans, trace ? &*trace : nullptr});
  }
  check_answer_options(options, *model);
  const Prompt prompt = make_prompt(flags, *model);
  spans.add("load", "prompt text to tokens");
  const auto n_prompt = static_cast<int32_t>(prompt.tokens.size());

  Sequence sequence(model->decoder, backend, policy);
  PrefillOptions prefill;
  prefill.n_growth = options.max_tokens;
  prefill.n_compress = flags.compress_after == "document" ? prompt.n_document : -1;
  std::span<const float> logits;
  const double first_graph_s = process_age_s();
  {
    Progress progress("reading the prompt", "tokens", n_prompt);
    prefill.progress = [&](int64_t n_done, int64_t n_total) {
      throw_if_interrupted();
      spans.add("prefill", fmt::format("{} of {} token layers", n_done, n_total));
      progress.update(n_done * n_prompt / n_total);
    };
    logits = sequence.prefill(prompt.tokens, prefill);
    progress.finish();
  }
  explain_prefill(sequence.last_prefill(), policy->plan(), flags.generate.policy_text());

  AnswerOutput output(*model);
  const double busy_before_s = trace ? trace->busy_s() : 0;
  const AnswerReport answer =
      generate_answer(sequence, *model, logits, options, output.events(options, spans));
  const double busy_s = trace ? trace->busy_s() - busy_before_s : 0;
  backend.set_trace(nullptr);
  output.end();

  if (flags.ledger.kind != LedgerChoice::Kind::kOff) {
    const bool has_dropped =
        sequence.last_prefill().n_entries_dropped > 0 || sequence.n_evicted_in_decode() > 0;
    const double entry_cost_s =
        has_dropped ? measure_entry_cost(*model->decoder, backend, sequence.kv().shape(0).kv) : 0;
    Ledger ledger = text_ledger(sequence, answer, flags.generate.policy_text(), entry_cost_s);
    ledger.facts.push_back({"weights_s", model->weights_s, ""});
    ledger.facts.push_back({"vocabulary_s", model->vocabulary_s, ""});
    ledger.facts.push_back({"exec_to_first_graph_s", first_graph_s, ""});
    ledger.facts.push_back({"n_prompt_matrices_by_ggml",
                            n_matrices_by_ggml(*model->file, flags.generate.compute), ""});
    if (trace) {
      ledger.facts.push_back(
          {"decode_busy_share_of_threads", busy_s / (answer.decode_s * backend.n_threads()), ""});
      spans.add(*trace);
    }
    ledger.spans = spans.take();
    print_ledger(ledger, flags.ledger);
    if (flags.ledger.kind == LedgerChoice::Kind::kVerify && !was_interrupted()) {
      Progress progress("reading the prompt with --exact", "tokens", n_prompt);
      const ExactCheck exact =
          check_against_exact(model->decoder, backend, prompt.tokens, answer.tokens,
                              [&](int64_t n_done, int64_t n_total) {
                                throw_if_interrupted();
                                progress.update(n_done * n_prompt / n_total);
                              });
      progress.finish();
      print_exact(exact, ledger, answer);
    }
  }
  return answer.reason == FinishReason::kCancelled ? kExitInterrupted : 0;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* verb =
      app.add_subcommand("run", "answer one question, about a document if one is given");
  add_run_flags(*verb, *flags);
  verb->footer(
      "Examples:\n"
      "  reprise run smollm2 -f README.md -p \"What is this about?\" --kv cake:budget=512\n"
      "  reprise run dllm-demo -p \"Write the record: Iris, 65, Delhi, order 9684, 60 apples.\" "
      "--watch");
  verb->callback([flags, verb, &exit_code] { exit_code = run(*verb, *flags); });
}

}  // namespace reprise
