#include "engines/infill/infill_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/stopwatch.h"

namespace reprise {
namespace {

void check_canvas(const DecoderHparams& hp, const Canvas& canvas, const InfillOptions& options) {
  if (canvas.n() > hp.n_ctx_train) {
    throw Error(fmt::format(
        "the text has {} positions with its gaps, the model was trained for {}; shorten the "
        "prompt, or ask for fewer tokens",
        canvas.n(), hp.n_ctx_train));
  }
  for (const Gap& gap : canvas.gaps) {
    if (hp.shifts_logits && gap.first == 0) {
      throw Error(
          "this model reads a position's token off the position before it, so nothing can be "
          "filled in at the very start; begin the text with a token");
    }
    options.commit->check(gap.n, options.span->fixed_length(gap.n));
  }
}

}  // namespace

InfillSequence::InfillSequence(const DecoderModel& model, Canvas canvas, int32_t end_token,
                               const InfillOptions& options, const TokenSet* delimiters,
                               std::vector<std::vector<int32_t>> earlier_lengths,
                               const KvPlacement& placement)
    : hp_(model.hparams()),
      canvas_((check_canvas(model.hparams(), canvas, options), std::move(canvas))),
      end_token_(end_token),
      options_(options),
      delimiters_(delimiters),
      earlier_lengths_(std::move(earlier_lengths)),
      cache_(hp_, options.cache_type, canvas_.n(), placement),
      rng_(options.seed) {
  rule_.forbidden = hp_.mask_token;
  // Text goes on behind a gap that is no answer.
  if (!canvas_.is_answer || options.end_tokens == EndTokens::kNever)
    rule_.also_forbidden = end_token;
  rule_.temperature = options.temperature;
  rule_.top_p = options.top_p;
  rule_.top_k = options.top_k;
  rule_.is_judged_filtered = options.commit->judges_filtered();
  begin_gap();
}

void InfillSequence::begin_gap() {
  SpanRequest request;
  request.budget = gap().n;
  request.delimiters = delimiters_;
  if (i_gap_ < earlier_lengths_.size()) request.earlier_lengths = earlier_lengths_[i_gap_];
  request.seed = options_.seed + i_gap_;
  planner_ = options_.span->begin(request);
  i_span_in_gap_ = 0;
  first_ = end_ = gap().first;
  i_step_ = 0;
}

InfillRows InfillSequence::next() {
  assert(!is_done());
  if (i_step_ == 0) {
    const SpanView view{{}, first_ - gap().first, gap().end() - first_, i_span_in_gap_};
    behind_plan_ = first_ + std::min(planner_->reach(view), view.n_left);
  } else {
    behind_plan_ = end_;
  }
  rows_ = options_.refresh->rows({canvas_.n(), first_, end_, i_step_, n_since_full_});
  const bool looks_behind = options_.late_tau > 0 && rows_.n() == canvas_.n();
  const int32_t behind = looks_behind ? gap().end() : behind_plan_;
  wanted_.clear();
  for (int32_t p = first_; p < behind; ++p)
    if (canvas_.ids[p] == hp_.mask_token) wanted_.push_back(p);
  // The row in front of the span says what stands at its first position.
  if (hp_.shifts_logits && rows_.first == first_) --rows_.first;
  InfillRows out;
  out.ids = canvas_.ids;
  out.cache = &cache_;
  out.rows = rows_;
  out.wanted = wanted_;
  out.rule = &rule_;
  out.seed = rng_.next();
  return out;
}

bool InfillSequence::take(std::span<const Proposal> proposals) {
  assert(proposals.size() == wanted_.size());
  const bool is_full = rows_.n() == canvas_.n();
  report_.n_rows += rows_.n();
  report_.n_rows_reused += canvas_.n() - rows_.n();
  report_.n_full += is_full ? 1 : 0;
  n_since_full_ = is_full ? 1 : n_since_full_ + 1;
  if (i_step_ == 0) {
    const Stopwatch stopwatch;
    plan(proposals);
    report_.plan_s += stopwatch.seconds();
  }
  const Stopwatch stopwatch;
  commit(proposals);
  ++i_step_;
  const bool has_span_ended = end_span();
  report_.commit_s += stopwatch.seconds();
  return has_span_ended;
}

void InfillSequence::plan(std::span<const Proposal> proposals) {
  const SpanView view{proposals.first(static_cast<size_t>(behind_plan_ - first_)),
                      first_ - gap().first, gap().end() - first_, i_span_in_gap_};
  const SpanPlan plan = planner_->plan(view);
  assert(plan.n >= 1 && plan.n <= static_cast<int32_t>(proposals.size()));
  end_ = first_ + plan.n;
  n_masked_at_start_ = plan.n;
  report_.spans.push_back({first_, plan, 0});
}

// The rows as the commit rule sees them.
std::span<const Proposal> InfillSequence::judged(std::span<const Proposal> rows) {
  if (options_.end_tokens != EndTokens::kLast) return rows;
  judged_.assign(rows.begin(), rows.end());
  for (Proposal& row : judged_) {
    if (row.token != end_token_) continue;
    row.confidence = row.margin = 0;
    row.neg_entropy = -std::log(static_cast<float>(hp_.n_vocab));
  }
  return judged_;
}

void InfillSequence::commit(std::span<const Proposal> proposals) {
  const auto n_rows = static_cast<size_t>(std::ranges::lower_bound(wanted_, end_) -
                                          wanted_.begin());  // the others lie behind the span
  CommitView view;
  view.rows = judged(proposals.first(n_rows));
  view.budget = gap().n;
  view.n_span = end_ - first_;
  view.n_masked_at_start = n_masked_at_start_;
  view.i_step = i_step_;
  view.rng = &rng_;
  chosen_.clear();
  options_.commit->choose(view, chosen_);
  InfillStep step;
  step.i_span = static_cast<int32_t>(report_.spans.size()) - 1;
  step.rows = rows_;
  for (const Proposal& row : view.rows)
    step.best_confidence = std::max(step.best_confidence, row.confidence);
  report_.n_plan_rows += std::max(0, behind_plan_ - end_);
  if (options_.late_tau > 0 && rows_.n() == canvas_.n()) note_late(proposals.subspan(n_rows), step);
  for (const int32_t i : chosen_) {
    step.commits.push_back({wanted_[i], view.rows[i].token, view.rows[i].confidence});
    canvas_.ids[wanted_[i]] = view.rows[i].token;
  }
  report_.steps.push_back(std::move(step));
  ++report_.spans.back().n_steps;
}

// Source: AdaBlock-dLLM, arXiv 2509.26432: the late decoding overhead. End tokens are certain long
// before their turn and are left out.
void InfillSequence::note_late(std::span<const Proposal> behind, InfillStep& step) const {
  if (behind.empty()) return;
  step.is_late_known = true;
  step.is_late = std::ranges::any_of(behind, [&](const Proposal& row) {
    return row.token != end_token_ && row.confidence >= options_.late_tau;
  });
}

bool InfillSequence::span_has(int32_t token) const {
  const auto ids = std::span(canvas_.ids).subspan(first_, end_ - first_);
  return std::ranges::find(ids, token) != ids.end();
}

// Goes on to the next span, or the next gap, when nothing of this span is masked any more.
bool InfillSequence::end_span() {
  if (span_has(hp_.mask_token)) return false;
  const bool is_over = has_ended();
  ++i_span_in_gap_;
  first_ = end_;
  i_step_ = 0;
  if (!is_over && first_ < gap().end()) return true;
  ++i_gap_;
  if (!is_done()) begin_gap();
  return true;
}

// Whether the span that has just been filled ends the answer.
bool InfillSequence::has_ended() const {
  return canvas_.is_answer && options_.stops_at_end && span_has(end_token_);
}

std::optional<Gap> InfillSequence::current_span() const {
  if (is_done() || end_ == first_) return std::nullopt;
  return Gap{first_, end_ - first_};
}

std::span<const int32_t> InfillSequence::answer() const {
  assert(canvas_.is_answer);
  const std::span<const int32_t> all =
      std::span(canvas_.ids).subspan(canvas_.gaps[0].first, canvas_.gaps[0].n);
  const auto last = std::ranges::find_if(
      all, [&](int32_t id) { return id == end_token_ || id == hp_.mask_token; });
  return all.first(static_cast<size_t>(last - all.begin()));
}

}  // namespace reprise
