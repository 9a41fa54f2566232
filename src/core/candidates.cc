#include "core/candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace reprise {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// A strict total order, so that heaps and sorts of every standard library agree.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

void refuse_logit(size_t token, float logit) {
  if (std::isnan(logit) || logit == kInf) {
    throw Error(fmt::format(
        "the model's logit of token {} is {}; the model file is damaged, fetch it again", token,
        logit));
  }
}

void refuse_none(size_t n_vocab) {
  throw Error(fmt::format(
      "none of the {} logits is finite; the model file is damaged, fetch it again", n_vocab));
}

double weight(float logit, float largest) {
  return std::exp(static_cast<double>(logit) - static_cast<double>(largest));
}

// f(token, logit) for the logits above floor(), which f may raise, and for every NaN. Nearly all of
// a vocabulary is below: sixty-four of them are compared at once.
template <class Floor, class F>
void for_each_above(std::span<const float> logits, const Floor& floor, const F& f) {
  constexpr size_t kBlock = 64;
  for (size_t first = 0; first < logits.size(); first += kBlock) {
    const auto block = logits.subspan(first, std::min(kBlock, logits.size() - first));
    const float least = floor();
    int32_t n_above = 0;
    for (const float logit : block) n_above += logit <= least ? 0 : 1;
    if (n_above == 0) continue;
    for (size_t i = 0; i < block.size(); ++i) {
      if (!(block[i] <= floor())) f(first + i, block[i]);
    }
  }
}

}  // namespace

Candidates::Candidates(const Truncation& truncation, int32_t n_vocab)
    : truncation_(truncation), min_p_log_(std::log(truncation.min_p)) {
  if (truncation_.temp == 0) truncation_.top_k = 1;
  if (truncation_.top_k >= n_vocab) truncation_.top_k = 0;
  const int32_t n_pool = truncation_.top_k == 0 ? n_vocab : std::max(truncation_.top_k, kMaxBest);
  pool_.resize(n_pool);
}

std::span<const Candidate> Candidates::select(std::span<const float> logits) {
  const std::span<Candidate> kept =
      truncation_.top_k == 0 ? cut_all(logits) : cut_best(keep_best(logits, truncation_.top_k));
  if (kept.size() == 1) {
    kept[0].weight = 1;
    return kept;
  }
  float largest = -kInf;
  for (const Candidate& c : kept) largest = std::max(largest, c.logit);
  for (Candidate& c : kept) {
    c.weight = std::exp((static_cast<double>(c.logit) - largest) / truncation_.temp);
  }
  return kept;
}

std::span<const Candidate> Candidates::best(std::span<const float> logits, int32_t k) {
  return keep_best(logits, k);
}

// A heap of the best so far with the worst of them in front; later equal logits have larger tokens
// and need not come in.
std::span<Candidate> Candidates::keep_best(std::span<const float> logits, int32_t k) {
  assert(k >= 1);
  const auto n_most = std::min(static_cast<size_t>(k), pool_.size());
  const auto heap = pool_.begin();
  size_t n = 0;
  float floor = -kInf;
  for_each_above(
      logits, [&] { return floor; },
      [&](size_t token, float logit) {
        refuse_logit(token, logit);
        if (n == n_most) {
          std::pop_heap(heap, heap + n, before);
          --n;
        }
        pool_[n++] = {static_cast<int32_t>(token), logit, 0};
        std::push_heap(heap, heap + n, before);
        if (n == n_most) floor = pool_[0].logit;
      });
  if (n == 0) refuse_none(logits.size());
  std::sort_heap(heap, heap + n, before);
  return std::span(pool_).first(n);
}

// top_p and min_p both keep the first ones of the sorted candidates.
std::span<Candidate> Candidates::cut_best(std::span<Candidate> sorted) const {
  const float largest = sorted[0].logit;
  const float least = largest + min_p_log_;
  double wanted = kInf;
  if (truncation_.top_p < 1) {
    double total = 0;
    for (const Candidate& c : sorted) total += weight(c.logit, largest);
    wanted = truncation_.top_p * total;
  }
  double sum = 0;
  size_t n = 0;
  while (n < sorted.size() && (n == 0 || (sorted[n].logit >= least && sum < wanted))) {
    sum += weight(sorted[n].logit, largest);
    ++n;
  }
  return sorted.first(n);
}

// The same over the whole vocabulary, which is never sorted: min_p needs no order, and top_p takes
// only as many from the front of a heap as it keeps.
std::span<Candidate> Candidates::cut_all(std::span<const float> logits) {
  float largest = -kInf;
  for_each_above(
      logits, [&] { return largest; },
      [&](size_t token, float logit) {
        refuse_logit(token, logit);
        largest = logit;
      });
  if (largest == -kInf) refuse_none(logits.size());
  const float least = largest + min_p_log_;
  const bool has_top_p = truncation_.top_p < 1;
  double total = 0;
  size_t n = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (has_top_p) total += weight(logits[i], largest);
    if (logits[i] >= least && logits[i] > -kInf) {
      pool_[n++] = {static_cast<int32_t>(i), logits[i], 0};
    }
  }
  if (!has_top_p) return std::span(pool_).first(n);
  const double wanted = truncation_.top_p * total;
  const auto after = [](const Candidate& a, const Candidate& b) { return before(b, a); };
  const auto end = pool_.begin() + static_cast<std::ptrdiff_t>(n);
  std::make_heap(pool_.begin(), end, after);
  double sum = 0;
  auto heap_end = end;
  while (heap_end != pool_.begin() && (heap_end == end || sum < wanted)) {
    std::pop_heap(pool_.begin(), heap_end, after);
    --heap_end;
    sum += weight(heap_end->logit, largest);
  }
  std::reverse(heap_end, end);  // popped ones stand behind the heap, the best last
  return {heap_end, end};
}

}  // namespace reprise
