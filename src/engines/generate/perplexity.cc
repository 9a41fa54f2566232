#include "engines/generate/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/logprobs.h"
#include "llama.h"

namespace reprise {
namespace {

using Clock = std::chrono::steady_clock;

// Scored tokens read at once; bounds the memory for their logits.
constexpr int32_t kPass = 64;

// Reads the tokens by the policy's decode mode: logits [n_vocab, n_tokens].
std::vector<float> read_scored(Sequence& sequence, const NamedPolicy& policy,
                               std::span<const int32_t> tokens) {
  std::vector<float> logits;
  if (!policy.replaces_in_decode()) {
    const std::span<const float> all = sequence.extend_all(tokens);
    logits.assign(all.begin(), all.end());
    return logits;
  }
  for (const int32_t token : tokens) {
    const std::span<const float> row = sequence.decode(token);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

}  // namespace

double PerplexityRow::perplexity() const { return std::exp(nll.value()); }
double PerplexityRow::error() const { return nll.error() * perplexity(); }

PerplexityEval::PerplexityEval(const std::shared_ptr<const DecoderModel>& model,
                               const Backend& backend, std::vector<NamedPolicy> policies,
                               int32_t bos)
    : policies_(std::move(policies)),
      bos_(bos),
      n_vocab_(model->hparams().n_vocab),
      order_(policies_.size()) {
  if (policies_.empty()) throw Error("no policy to measure; give at least one --kv");
  for (const NamedPolicy& policy : policies_) {
    sequences_.push_back(std::make_unique<Sequence>(model, backend, policy.policy));
    rows_.emplace_back().policy = policy.text;
  }
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_partition(order_.begin(), order_.end(),
                        [&](size_t i) { return policies_[i].is_reference(); });
}

void PerplexityEval::score(PerplexityRow& row, std::span<const float> logits,
                           std::span<const int32_t> targets) {
  for (size_t i = 0; i < targets.size(); ++i) {
    const std::span<const float> at = logits.subspan(i * n_vocab_, n_vocab_);
    row.nll.add(log_sum_exp(at) - at[targets[i]]);
  }
  if (!reference_.empty()) row.agreement.add(reference_, logits, n_vocab_);
}

void PerplexityEval::add(std::span<const int32_t> context, const TokensRead& read) {
  const auto n_ctx = static_cast<int32_t>(context.size());
  if (n_ctx < kMinContext) {
    throw Error(fmt::format("a context of {} tokens is too short to score; give at least {}", n_ctx,
                            kMinContext));
  }
  check_tokens(sequences_.front()->model(), context);
  std::vector<int32_t> prompt(context.begin(), context.begin() + n_ctx / 2 + 1);
  if (bos_ >= 0) prompt.front() = bos_;
  const std::span<const int32_t> targets = context.subspan(prompt.size());
  std::vector<PerplexityRow> rows = rows_;
  const auto timed = [&](size_t i, const auto& work) {
    const Clock::time_point start = Clock::now();
    work();
    rows[i].seconds += std::chrono::duration<double>(Clock::now() - start).count();
  };
  // The first scored token follows from the prefill, pass by pass the others from those before.
  const bool has_reference = policies_[order_.front()].is_reference();
  const auto n_targets = static_cast<int32_t>(targets.size());
  for (int32_t first = -1; first < n_targets - 1; first += first < 0 ? 1 : kPass) {
    reference_.clear();
    const int32_t n = first < 0 ? 1 : std::min(kPass, n_targets - 1 - first);
    for (const size_t i : order_) {
      Sequence& sequence = *sequences_[i];
      std::vector<float> logits;
      timed(i, [&] {
        if (first < 0) {
          sequence.clear();
          const auto n_prompt = static_cast<int64_t>(prompt.size());
          const std::span<const float> last = sequence.prefill(
              prompt, {.n_growth = n_targets, .progress = prefill_progress(read, n_prompt)});
          logits.assign(last.begin(), last.end());
        } else {
          logits = read_scored(sequence, policies_[i], targets.subspan(first, n));
          read(n);
        }
      });
      if (first < 0) {
        rows[i].held_bytes.add(static_cast<double>(sequence.kv().n_held_bytes()));
        rows[i].n_dropped += sequence.last_prefill().n_entries_dropped;
      }
      if (has_reference && i == order_.front()) reference_ = logits;
      score(rows[i], logits, targets.subspan(first + 1, n));
    }
  }
  rows_ = std::move(rows);
}

int32_t context_bos(const Tokenizer& tokenizer) {
  return llama_vocab_get_add_bos(tokenizer.vocab()) ? tokenizer.bos() : -1;
}

}  // namespace reprise
