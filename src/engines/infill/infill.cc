#include "engines/infill/infill.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/ragged_attention_node.h"
#include "core/stopwatch.h"
#include "policies/commit/top1.h"
#include "policies/refresh/none.h"
#include "policies/span/fixed.h"
#include "policies/span/oracle.h"

namespace reprise {
namespace {

static_assert(Infiller::kMaxBatch <= kMaxRaggedSequences);

// A text under way.
struct Active {
  size_t i_text;
  std::unique_ptr<InfillSequence> sequence;
};

// The run that a policy may learn line ends from: one token a pass, as accurate as the model is.
constexpr int32_t kTop1Span = 16;

// Span lengths of a finished text, gap by gap. Of an answer that stopped at its end token those
// that hold some of its text: a span of end tokens alone belongs behind it in any order.
std::vector<std::vector<int32_t>> span_lengths(const InfillResult& result, bool stops_at_end) {
  const Canvas& canvas = result.canvas;
  int32_t end = canvas.n();
  if (canvas.is_answer && stops_at_end) {
    const auto n_answer = static_cast<int32_t>(result.answer.size());
    end = canvas.gaps[0].first + std::max(n_answer, 1);
  }
  std::vector<std::vector<int32_t>> lengths(canvas.gaps.size());
  size_t i_gap = 0;
  for (const InfillSpan& span : result.report.spans) {
    if (span.first >= end) break;
    while (span.first >= canvas.gaps[i_gap].end()) ++i_gap;
    lengths[i_gap].push_back(span.plan.n);
  }
  return lengths;
}

}  // namespace

Infiller::Infiller(std::shared_ptr<const DecoderModel> model, const Backend& backend,
                   int32_t end_token, InfillOptions options, std::optional<TokenSet> delimiters)
    : pass_(std::move(model), backend),
      end_token_(end_token),
      options_(std::move(options)),
      delimiters_(std::move(delimiters)) {}

std::vector<Infiller::Lengths> Infiller::earlier_lengths(const std::vector<Canvas>& texts,
                                                         int32_t n_batch,
                                                         const InfillEvents& events) const {
  const SpanNeeds needs = options_.span->needs();
  if (needs.earlier_run == SpanNeeds::EarlierRun::kNone) return {};
  InfillOptions earlier = options_;
  if (needs.earlier_run == SpanNeeds::EarlierRun::kTop1) {
    earlier.span = std::make_shared<FixedSpan>(kTop1Span);
    earlier.commit = std::make_shared<Top1Commit>();
    earlier.refresh = std::make_shared<NoneRefresh>();
  } else {
    earlier.span = options_.span->earlier();
  }
  Infiller run(pass_.shared_model(), pass_.backend(), end_token_, earlier, delimiters_);
  std::vector<Lengths> out;
  for (const InfillResult& result : run.fill(texts, n_batch, {{}, events.is_cancelled})) {
    if (needs.earlier_run == SpanNeeds::EarlierRun::kAdaBlock) {
      out.push_back(span_lengths(result, earlier.stops_at_end));
      continue;
    }
    Lengths& lengths = out.emplace_back();
    for (const Gap& gap : result.canvas.gaps) {
      lengths.push_back(lengths_at_delimiters(
          std::span(result.canvas.ids).subspan(gap.first, gap.n), *delimiters_));
    }
  }
  return out;
}

std::vector<InfillResult> Infiller::fill(std::vector<Canvas> texts, int32_t n_batch,
                                         const InfillEvents& events) {
  if (n_batch < 1 || n_batch > kMaxBatch) {
    throw Error(fmt::format("{} texts at a time: expected 1 to {}", n_batch, kMaxBatch));
  }
  std::vector<InfillResult> results(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) results[i].canvas = texts[i];
  const std::vector<Lengths> earlier = earlier_lengths(texts, n_batch, events);
  if (events.is_cancelled && events.is_cancelled()) return results;
  const Stopwatch stopwatch;
  const TokenSet* delimiters = delimiters_ ? &*delimiters_ : nullptr;
  std::vector<Active> active;
  std::vector<InfillRows> rows;
  size_t n_begun = 0;
  const auto finish = [&](const Active& text) {
    InfillResult& result = results[text.i_text];
    result.canvas = text.sequence->canvas();
    result.report = text.sequence->report();
    if (!result.canvas.is_answer) return;
    const std::span<const int32_t> answer = text.sequence->answer();
    result.answer.assign(answer.begin(), answer.end());
  };
  while (n_begun < texts.size() || !active.empty()) {
    while (n_begun < texts.size() && active.size() < static_cast<size_t>(n_batch)) {
      InfillOptions options = options_;
      options.seed += n_begun;
      active.push_back({n_begun, std::make_unique<InfillSequence>(
                                     pass_.model(), std::move(texts[n_begun]), end_token_, options,
                                     delimiters, earlier.empty() ? Lengths() : earlier[n_begun],
                                     pass_.backend().kv_placement())});
      ++n_begun;
    }
    if (events.is_cancelled && events.is_cancelled()) break;
    rows.clear();
    int64_t cache_bytes = 0;
    for (const Active& text : active) {
      rows.push_back(text.sequence->next());
      cache_bytes += text.sequence->n_cache_bytes();
    }
    peak_cache_bytes_ = std::max(peak_cache_bytes_, cache_bytes);
    const Stopwatch pass_stopwatch;
    std::span<const Proposal> proposals = pass_.compute(rows);
    pass_s_ += pass_stopwatch.seconds();
    ++n_passes_;
    for (size_t i = 0; i < active.size(); ++i) {
      const size_t n = rows[i].wanted.size();
      const bool has_span_ended = active[i].sequence->take(proposals.first(n));
      proposals = proposals.subspan(n);
      if (events.on_step) events.on_step(active[i].i_text, *active[i].sequence, has_span_ended);
    }
    std::erase_if(active, [&](const Active& text) {
      if (!text.sequence->is_done()) return false;
      finish(text);
      return true;
    });
  }
  for (const Active& text : active) finish(text);  // cancelled
  total_s_ += stopwatch.seconds();
  return results;
}

std::optional<TokenSet> delimiters_of(const SpanPolicy& policy, const TextModel& model) {
  const SpanNeeds needs = policy.needs();
  if (!needs.needs_delimiters) return std::nullopt;
  TokenSet delimiters = TokenSet::parse(needs.delimiters, model.tokenizer);
  const int32_t mask = model.decoder->hparams().mask_token;
  if (delimiters.has(mask)) {
    throw Error(fmt::format(
        "delimiters={}: token {} is the model's mask, which no text contains; leave it out",
        needs.delimiters, mask));
  }
  return delimiters;
}

int32_t end_token_of(const TextModel& model) {
  const int32_t end = model.tokenizer.eos();
  if (end < 0) {
    throw Error(
        fmt::format("{}: names no end-of-text token; convert the model again", model.file->path()));
  }
  return end;
}

}  // namespace reprise
