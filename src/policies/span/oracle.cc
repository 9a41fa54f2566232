#include "policies/span/oracle.h"

#include <algorithm>
#include <utility>

#include "policies/span/listed_spans.h"

namespace reprise {

std::vector<int32_t> lengths_at_delimiters(std::span<const int32_t> tokens,
                                           const TokenSet& delimiters) {
  std::vector<int32_t> lengths;
  int32_t n = 0;
  for (const int32_t token : tokens) {
    ++n;
    if (!delimiters.has(token)) continue;
    lengths.push_back(n);
    n = 0;
  }
  if (n > 0) lengths.push_back(n);
  return lengths;
}

SpanNeeds OracleSpan::needs() const {
  return {.needs_delimiters = true,
          .delimiters = delimiters_,
          .earlier_run = SpanNeeds::EarlierRun::kTop1};
}

std::unique_ptr<SpanPlanner> OracleSpan::begin(const SpanRequest& request) const {
  int32_t n_rest = check_earlier_lengths(kOracleSpan.name, request);
  std::vector<SpanPlan> spans;
  for (const int32_t n : request.earlier_lengths) {
    spans.push_back({.n = n, .reason = SpanReason::kDelimiter, .i_delimiter = n - 1});
  }
  // A delimiter at the very end of the budget is rare and ends the text either way, so the last
  // part counts as what follows the last delimiter.
  n_rest += spans.back().n;
  spans.pop_back();
  append_rest(n_rest, b0_, spans);
  return std::make_unique<ListedSpanPlanner>(std::move(spans));
}

const PolicyEntry kOracleSpan = {
    .name = "span/oracle",
    .summary = "end spans at the line breaks of the answer written one token a pass",
    .source = "ours, a control of span/adablock",
    .when_to_use = "in benches, to see what perfect foresight of line breaks would be worth",
    .when_not = "real work; it answers every prompt twice, the first time slowly",
    .options = {int_option("b0", 32, 1, 65536, "positions of a span behind the last delimiter"),
                text_option("delimiters", "newline",
                            "newline, newline-exact, sentence, digit, token ids or texts, joined "
                            "by +")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      return std::make_unique<OracleSpan>(o.i32("b0"), o.text("delimiters"));
    }};

}  // namespace reprise
