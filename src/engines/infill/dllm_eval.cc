#include "engines/infill/dllm_eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "policies/registry.h"

namespace reprise {
namespace {

template <class T, class Get>
T sum(const std::vector<DllmOutcome>& outcomes, Get get) {
  T total = 0;
  for (const DllmOutcome& outcome : outcomes) total += get(outcome);
  return total;
}

// The right token of a position of the answer, its end included.
int32_t right_token(const std::vector<int32_t>& want, size_t i, int32_t end_token) {
  return i < want.size() ? want[i] : end_token;
}

DllmOutcome outcome(const TextModel& model, const InfillResult& result,
                    const std::vector<int32_t>& want, int32_t end_token,
                    const DllmEvalOptions& options) {
  DllmOutcome out;
  const Gap& gap = result.canvas.gaps.front();
  const size_t n_got = result.answer.size();
  const bool has_ended =
      n_got < static_cast<size_t>(gap.n) && result.canvas.ids[gap.first + n_got] == end_token;
  out.verdict = judge_dllm(want, result.answer, has_ended, gap.n, model.tokenizer);
  const InfillReport& report = result.report;
  out.n_rows = report.n_rows;
  out.n_full = report.n_full;
  out.n_steps = static_cast<int32_t>(report.steps.size());
  out.n_tokens = static_cast<int32_t>(n_got);
  out.n_spans = static_cast<int32_t>(report.spans.size());
  for (const InfillSpan& span : report.spans) out.n_span_positions += span.plan.n;
  for (const InfillStep& step : report.steps) {
    out.n_forced += step.best_confidence < options.mark_tau ? 1 : 0;
    out.n_late_known += step.is_late_known ? 1 : 0;
    out.n_late += step.is_late ? 1 : 0;
    for (const Commit& commit : step.commits) {
      const int32_t right = right_token(want, commit.position - gap.first, end_token);
      if (commit.confidence < options.mark_tau) {
        out.n_forced_wrong += commit.token != right ? 1 : 0;
      } else if (commit.token != end_token) {
        ++out.n_sure;
        out.n_sure_right += commit.token == right ? 1 : 0;
      }
    }
  }
  return out;
}

}  // namespace

int64_t DllmResult::n_right() const {
  return sum<int64_t>(outcomes, [](const DllmOutcome& o) { return o.verdict.is_right ? 1 : 0; });
}

double DllmResult::mean_span() const {
  return sum<double>(outcomes, [](const DllmOutcome& o) { return o.n_span_positions; }) /
         sum<double>(outcomes, [](const DllmOutcome& o) { return o.n_spans; });
}

double DllmResult::rows_per_answer() const {
  return sum<double>(outcomes, [](const DllmOutcome& o) { return o.n_rows; }) /
         static_cast<double>(outcomes.size());
}

Canvas dllm_canvas(const TextModel& model, const std::string& prompt,
                   const DllmEvalOptions& options) {
  const int32_t mask = model.decoder->hparams().mask_token;
  const std::vector<int32_t> ids = model.tokenizer.tokenize(prompt, true, false);
  const auto n_text = static_cast<int32_t>(ids.size()) + options.budget;
  const int32_t n_canvas =
      options.n_canvas >= 0 ? options.n_canvas : model.decoder->hparams().n_canvas;
  const int32_t n_ctx = model.decoder->hparams().n_ctx_train;
  if (options.n_canvas > n_ctx) {
    throw Error(fmt::format("--pad-canvas {}: the model was trained for {} rows; lower it",
                            options.n_canvas, n_ctx));
  }
  if (n_canvas > 0 && n_text > n_canvas) {
    throw Error(fmt::format(
        "the prompt has {} tokens and the answer {} positions, more than the canvas of {} rows; "
        "lower the budget or raise --pad-canvas",
        ids.size(), options.budget, n_canvas));
  }
  const int32_t n_tail = n_canvas > 0 ? n_canvas - n_text : 0;
  return Canvas::answer(ids, options.budget, n_tail, mask, end_token_of(model));
}

InfillOptions dllm_infill_options(const DllmMethod& method, const DllmEvalOptions& options) {
  InfillOptions infill;
  infill.span = make_span_policy(method.span);
  infill.commit = make_commit_policy(method.commit);
  infill.refresh = make_refresh_policy(method.refresh);
  infill.stops_at_end = options.stops_at_end;
  infill.end_tokens = options.end_tokens;
  infill.temperature = options.temperature;
  infill.seed = options.seed;
  infill.cache_type = options.cache_type;
  infill.late_tau = options.mark_tau;
  return infill;
}

DllmResult evaluate_dllm(const TextModel& model, const Backend& backend, const DllmMethod& method,
                         const std::vector<DllmPrompt>& prompts, const DllmEvalOptions& options,
                         const InfillEvents& events) {
  const InfillOptions infill = dllm_infill_options(method, options);
  const int32_t end_token = end_token_of(model);
  std::vector<Canvas> texts;
  texts.reserve(prompts.size());
  for (const DllmPrompt& prompt : prompts)
    texts.push_back(dllm_canvas(model, prompt.prompt, options));
  Infiller infiller(model.decoder, backend, end_token, infill, delimiters_of(*infill.span, model));
  const std::vector<InfillResult> results =
      infiller.fill(std::move(texts), options.n_batch, events);
  DllmResult out;
  out.method = method;
  out.total_s = infiller.total_s();
  out.pass_s = infiller.pass_s();
  for (size_t i = 0; i < prompts.size(); ++i) {
    out.n_plan_rows += results[i].report.n_plan_rows;
    out.plan_s += results[i].report.plan_s + results[i].report.commit_s;
    const std::vector<int32_t> want = model.tokenizer.tokenize(prompts[i].answer, false, false);
    out.outcomes.push_back(outcome(model, results[i], want, end_token, options));
  }
  return out;
}

}  // namespace reprise
