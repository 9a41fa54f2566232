#include "cli/run_infill.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "cli/answer_output.h"
#include "cli/canvas_watch.h"
#include "cli/exit_codes.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "cli/usage_error.h"
#include "core/error.h"
#include "core/quantities.h"
#include "engines/generate/prompt.h"
#include "engines/infill/gapped_text.h"
#include "engines/infill/infill.h"
#include "engines/infill/infill_ledger.h"

namespace reprise {
namespace {

// Positions of an answer where --max-tokens is not given.
constexpr int32_t kDefaultAnswer = 128;

// End tokens behind a text of n_rows positions. Throws Error.
int32_t tail_rows(const RunFlags& flags, int32_t n_rows, const DecoderHparams& hp) {
  const int32_t n_canvas = flags.infill.n_canvas;
  if (n_canvas < 0) return std::max(0, hp.n_canvas - n_rows);
  if (n_canvas == 0) return 0;
  if (n_canvas > hp.n_ctx_train) {
    throw Error(fmt::format("--pad-canvas {}: the model was trained for {} rows; lower it",
                            n_canvas, hp.n_ctx_train));
  }
  if (n_canvas < n_rows) {
    throw Error(
        fmt::format("--pad-canvas {}: the text and what is to be filled have {} rows; raise it{}",
                    n_canvas, n_rows, flags.infill.is_gapped ? "" : ", or lower --max-tokens"));
  }
  return n_canvas - n_rows;
}

std::vector<int32_t> prompt_tokens(const RunFlags& flags, const TextModel& model) {
  const UserMessage user = read_message(flags);
  const bool has_template =
      model.file->has("tokenizer.chat_template") || !flags.generate.chat_template.empty();
  // Without a template there is no place for a system message: asking for the template says so.
  const bool is_raw = flags.is_raw || (!has_template && flags.generate.system.empty());
  Prompt prompt = is_raw ? raw_prompt(model, user)
                         : chat_prompt(model, chat_template_of(model, flags.generate.chat_template),
                                       flags.generate.system, user);
  return std::move(prompt.tokens);
}

CanvasText answer_canvas(const CLI::App& verb, const RunFlags& flags, const TextModel& model,
                         int32_t end_token) {
  const std::vector<int32_t> prompt = prompt_tokens(flags, model);
  const DecoderHparams& hp = model.decoder->hparams();
  const int32_t n_ctx = hp.n_ctx_train;
  const auto n_prompt = static_cast<int32_t>(prompt.size());
  const int32_t n_room = n_ctx - n_prompt;
  if (n_room < 1) {
    throw Error(
        fmt::format("the prompt has {} tokens, which leaves nothing of the context of {} for an "
                    "answer; shorten it",
                    n_prompt, n_ctx));
  }
  const bool is_given = verb.get_option("--max-tokens")->count() > 0;
  const int32_t n_wanted = is_given ? flags.generate.answer.max_tokens : kDefaultAnswer;
  const int32_t n_answer = std::min(n_wanted, n_room);
  if (n_answer < n_wanted && is_given) {
    throw Error(
        fmt::format("--max-tokens {}: the prompt's {} tokens leave {} of the context of {}; ask "
                    "for {} at most, or shorten the prompt",
                    n_wanted, n_prompt, n_room, n_ctx, n_room));
  }
  if (n_answer < n_wanted) {
    spdlog::info("the prompt's {} tokens leave {} of the context of {}: the answer may have {}",
                 n_prompt, n_room, n_ctx, n_answer);
  }
  return CanvasText::answer(model, prompt, n_answer, tail_rows(flags, n_prompt + n_answer, hp),
                            end_token);
}

CanvasText gapped_canvas(const CLI::App& verb, const RunFlags& flags, const TextModel& model,
                         int32_t end_token) {
  for (const char* name : {"--max-tokens", "--system", "--chat-template"}) {
    if (verb.get_option(name)->count() == 0) continue;
    throw UsageError(
        fmt::format("{}: does not go with --infill, which takes one text as it is and fills what "
                    "its gaps say",
                    name));
  }
  const DecoderHparams& hp = model.decoder->hparams();
  const std::string mask_text = model.file->strings("tokenizer.ggml.tokens")[hp.mask_token];
  const GappedText text = GappedText::parse(read_text(flags), mask_text, hp.n_ctx_train);
  const int32_t n_rows = CanvasText::with_gaps(model, text, 0, end_token).canvas().n();
  return CanvasText::with_gaps(model, text, tail_rows(flags, n_rows, hp), end_token);
}

// Writes what the canvas holds as it becomes whole.
class CanvasOutput {
 public:
  CanvasOutput(const TextModel& model, const CanvasText& text) : text_(text), output_(model) {}

  void update(std::span<const int32_t> ids, bool is_over) {
    const std::string now = text_.text(ids, is_over);
    output_.write(std::string_view(now).substr(n_written_));
    n_written_ = now.size();
  }
  void end() { output_.end(); }

 private:
  const CanvasText& text_;
  AnswerOutput output_;
  size_t n_written_ = 0;
};

// What is looked for at a span's end, in a word.
std::string_view delimiter_word(const SpanPolicy& span) {
  return span.needs().delimiters.starts_with("newline") ? "line break" : "delimiter";
}

// Times the passes over all rows: what a row of them takes is what reuse saves.
class RowClock {
 public:
  void begin_pass() { start_ = Clock::now(); }
  void end_pass(const InfillStep& step, int32_t n_canvas) {
    if (step.rows.n() < n_canvas) return;
    full_s_ += std::chrono::duration<double>(Clock::now() - start_).count();
    n_rows_ += n_canvas;
  }
  double row_s() const { return n_rows_ > 0 ? full_s_ / static_cast<double>(n_rows_) : 0; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  double full_s_ = 0;
  int64_t n_rows_ = 0;
};

InfillCost cost_of(const Infiller& filler, double row_s) {
  return {filler.pass_s(), filler.total_s(), row_s, filler.peak_cache_bytes()};
}

Infiller make_filler(const LoadedRun& run, const InfillOptions& options, int32_t end_token) {
  warn_of_end_delimiter(*options.span, run.model);
  return {run.model.decoder, run.backend, end_token, options,
          delimiters_of(*options.span, run.model)};
}

void print_difference(const InfillResult& exact, const InfillCost& exact_cost,
                      const InfillResult& result, const InfillCost& cost, const Ledger& ledger,
                      const TextModel& model) {
  const double saved_s = exact_cost.total_s - cost.total_s;
  const LedgerAmount& estimate = ledger.units.front().saved;
  const std::string estimated =
      estimate.unit == LedgerAmount::Unit::kSeconds
          ? fmt::format(" (estimated of reuse alone: {})", format_seconds(estimate.value))
          : "";
  const InfillAgreement same = agreement(result, exact);
  std::string text = same.first_different < 0 ? "it writes the same text" : "";
  if (same.first_different >= 0) {
    const auto shown = [&](const InfillResult& of) {
      return fmt::format("{:?}", model.tokenizer.piece(of.canvas.ids[same.first_different]));
    };
    text = fmt::format(
        "it writes {} of {} tokens alike; the first other one stands at position {}: {} where "
        "--exact has {}",
        same.n_same, same.n, same.first_different, shown(result), shown(exact));
  }
  fmt::print(stderr,
             "verify: --exact takes {} passes over {} rows in {}, so {} were {}{} · its peak cache "
             "is {} · {}\n",
             format_count(static_cast<int64_t>(exact.report.steps.size())),
             format_count(exact.report.n_rows), format_seconds(exact_cost.total_s),
             format_seconds(std::abs(saved_s)), saved_s >= 0 ? "saved" : "lost", estimated,
             format_bytes(exact_cost.peak_cache_bytes), text);
}

}  // namespace

int run_infill(const CLI::App& verb, const RunFlags& flags, const InfillChoice& choice,
               const LoadedRun& run) {
  const int32_t end_token = end_token_of(run.model);
  const CanvasText text = flags.infill.is_gapped ? gapped_canvas(verb, flags, run.model, end_token)
                                                 : answer_canvas(verb, flags, run.model, end_token);
  run.spans.add("load", "text to tokens");
  Infiller filler = make_filler(run, choice.options, end_token);
  CanvasOutput output(run.model, text);
  std::optional<CanvasWatch> watch;
  if (flags.infill.is_watched && spdlog::should_log(spdlog::level::info)) {
    watch.emplace(run.model, end_token, text.printed(), delimiter_word(*choice.options.span));
  }

  RowClock clock;
  InfillEvents events;
  events.is_cancelled = [&] {
    clock.begin_pass();
    return was_interrupted();
  };
  events.on_step = [&](size_t /*i_text*/, const InfillSequence& sequence, bool has_span_ended) {
    const InfillStep& step = sequence.report().steps.back();
    clock.end_pass(step, sequence.canvas().n());
    run.spans.add("fill", fmt::format("pass {}: {} rows, span {}", sequence.report().steps.size(),
                                      step.rows.n(), step.i_span + 1));
    if (watch) {
      watch->show(sequence);
    } else if (has_span_ended) {
      output.update(sequence.canvas().ids, false);
    }
  };
  const InfillResult result = std::move(filler.fill({text.canvas()}, 1, events).front());
  const bool was_cancelled = was_interrupted();
  run.backend.set_trace(nullptr);
  run.backend.set_products(nullptr);
  if (watch) watch->finish();
  output.update(result.canvas.ids, true);
  output.end();
  explain_products(run.products, flags.generate.compute);

  if (flags.ledger.kind != LedgerChoice::Kind::kOff) {
    const InfillCost cost = cost_of(filler, clock.row_s());
    Ledger ledger = infill_ledger(result, cost, choice.policy);
    ledger.facts.push_back({"weights_s", run.model.weights_s, ""});
    ledger.facts.push_back({"vocabulary_s", run.model.vocabulary_s, ""});
    add_products(run.products, ledger);
    if (run.trace != nullptr) run.spans.add(*run.trace);
    ledger.spans = run.spans.take();
    print_ledger(ledger, flags.ledger);
    if (flags.ledger.kind == LedgerChoice::Kind::kVerify && !was_cancelled) {
      Infiller exact = make_filler(
          run, exact_infill_choice(verb, flags.infill, flags.generate).options, end_token);
      const std::vector<InfillResult> results =
          exact.fill({text.canvas()}, 1, {{}, was_interrupted});
      throw_if_interrupted();
      print_difference(results.front(), cost_of(exact, 0), result, cost, ledger, run.model);
    }
  }
  return was_cancelled ? kExitInterrupted : 0;
}

}  // namespace reprise
