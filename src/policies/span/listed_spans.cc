#include "policies/span/listed_spans.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>

#include "core/error.h"

namespace reprise {

SpanPlan ListedSpanPlanner::plan(const SpanView& view) {
  assert(view.i_span >= 0 && static_cast<size_t>(view.i_span) < spans_.size());
  const SpanPlan& span = spans_[view.i_span];
  assert(span.n <= view.n_left);
  return span;
}

int32_t check_earlier_lengths(std::string_view policy, const SpanRequest& request) {
  const std::vector<int32_t>& lengths = request.earlier_lengths;
  const auto sum = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  const bool is_positive = std::ranges::all_of(lengths, [](int32_t n) { return n >= 1; });
  if (!lengths.empty() && is_positive && sum <= request.budget)
    return request.budget - static_cast<int32_t>(sum);
  throw Error(fmt::format(
      "{}: the {} spans of the earlier run cover {} positions{}, the budget is {}; run the same "
      "request first",
      policy, lengths.size(), sum, is_positive ? "" : " and some are empty", request.budget));
}

void append_rest(int32_t n_rest, int32_t b0, std::vector<SpanPlan>& spans) {
  for (; n_rest > 0; n_rest -= b0)
    spans.push_back({.n = std::min(b0, n_rest), .reason = SpanReason::kNoDelimiter});
}

}  // namespace reprise
