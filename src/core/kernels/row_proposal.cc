#include "core/kernels/row_proposal.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/row_proposal.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
// After it:
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/split_mix.h"

HWY_BEFORE_NAMESPACE();
namespace reprise::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace {

using F32 = hn::ScalableTag<float>;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Sums over a part of a row, relative to its greatest logit.
struct RowSums {
  float weights = 0;   // of exp(z - max)
  float weighted = 0;  // of exp(z - max) (z - max)
};

// The greatest of z[0, n); NaN where one of them is not finite.
float greatest(const float* z, int32_t n) {
  const F32 d;
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  auto max = hn::Set(d, kMinusInfinity);
  auto poison = hn::Zero(d);  // NaN where a logit is not finite: a maximum would hide it
  int32_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) {
    const auto x = hn::LoadU(d, z + i);
    max = hn::Max(max, x);
    poison = hn::MulAdd(x, hn::Zero(d), poison);
  }
  float most = hn::GetLane(hn::MaxOfLanes(d, max));
  float poisoned = hn::GetLane(hn::SumOfLanes(d, poison));
  for (; i < n; ++i) {
    poisoned += z[i] * 0;
    most = std::max(most, z[i]);
  }
  return most + poisoned;
}

RowSums row_sums(const float* z, int32_t n, float max) {
  const F32 d;
  const auto n_lanes = static_cast<int32_t>(hn::Lanes(d));
  const auto base = hn::Set(d, max);
  const auto least = hn::Set(d, -80.0F);  // whose weight is below what F32 sums can hold
  auto weights = hn::Zero(d);
  auto weighted = hn::Zero(d);
  int32_t i = 0;
  for (; i + n_lanes <= n; i += n_lanes) {
    const auto x = hn::Max(hn::Sub(hn::LoadU(d, z + i), base), least);
    const auto e = hn::Exp(d, x);
    weights = hn::Add(weights, e);
    weighted = hn::MulAdd(e, x, weighted);
  }
  RowSums sums{hn::GetLane(hn::SumOfLanes(d, weights)), hn::GetLane(hn::SumOfLanes(d, weighted))};
  for (; i < n; ++i) {
    const float x = std::max(z[i] - max, -80.0F);
    const float e = std::exp(x);
    sums.weights += e;
    sums.weighted += e * x;
  }
  return sums;
}

// Runs `visit(first, n)` over the parts of a row that the ids in `out` leave.
template <class Visit>
void parts_without(std::array<int32_t, 3> out, int32_t n_vocab, Visit visit) {
  std::ranges::sort(out);
  int32_t first = 0;
  for (const int32_t id : out) {
    if (id < first || id >= n_vocab) continue;
    visit(first, id - first);
    first = id + 1;
  }
  visit(first, n_vocab - first);
}

float greatest_without(const float* z, int32_t n_vocab, const std::array<int32_t, 3>& out) {
  float max = kMinusInfinity;
  float poisoned = 0;
  parts_without(out, n_vocab, [&](int32_t first, int32_t n) {
    if (n == 0) return;
    const float most = greatest(z + first, n);
    poisoned += most * 0;
    max = std::max(max, most);
  });
  return max + poisoned;
}

// Greedy, of the logits as they are.
Proposal clean(const float* z, int32_t n_vocab, const ProposalRule& rule) {
  Proposal out;
  const std::array<int32_t, 3> none{rule.forbidden, rule.also_forbidden, -1};
  const float max = greatest_without(z, n_vocab, none);
  if (std::isnan(max)) {
    out.confidence = out.margin = out.neg_entropy = std::numeric_limits<float>::quiet_NaN();
    return out;
  }
  RowSums sums;
  parts_without(none, n_vocab, [&](int32_t first, int32_t n) {
    const RowSums part = row_sums(z + first, n, max);
    sums.weights += part.weights;
    sums.weighted += part.weighted;
    if (out.token >= 0) return;
    const float* at = std::find(z + first, z + first + n, max);
    if (at != z + first + n) out.token = static_cast<int32_t>(at - z);
  });
  const float second =
      greatest_without(z, n_vocab, {rule.forbidden, rule.also_forbidden, out.token});
  out.confidence = 1 / sums.weights;
  out.margin = (1 - std::exp(second - max)) / sums.weights;
  out.neg_entropy = sums.weighted / sums.weights - std::log(sums.weights);
  return out;
}

}  // namespace

Proposal CleanProposal(const float* z, int32_t n_vocab, const ProposalRule& rule) {
  return clean(z, n_vocab, rule);
}

}  // namespace reprise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reprise {
namespace {

HWY_EXPORT(CleanProposal);

bool is_out(const ProposalRule& rule, int32_t id) {
  return id == rule.forbidden || id == rule.also_forbidden;
}

double gumbel(SplitMix64& rng) {
  const double u = (static_cast<double>(rng.next() >> 11) + 0.5) * 0x1p-53;  // never 0 nor 1
  return -std::log(-std::log(u));
}

// What temperature and filters leave of a row: rising ids with their logits over the temperature.
struct Filtered {
  std::vector<int32_t> ids;
  std::vector<double> logits;
};

Filtered filter(const float* z, int32_t n_vocab, const ProposalRule& rule) {
  const double scale = rule.temperature > 0 ? 1.0 / rule.temperature : 1.0;
  std::vector<int32_t> order;
  for (int32_t id = 0; id < n_vocab; ++id)
    if (!is_out(rule, id)) order.push_back(id);
  size_t n = order.size();
  if (rule.top_p < 1 || rule.top_k > 0) {
    std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return z[a] > z[b]; });
    if (rule.top_p < 1) {
      double total = 0;
      for (const int32_t id : order) total += std::exp((z[id] - z[order[0]]) * scale);
      // A token stays when those before it do not exceed top_p.
      double before = 0;
      for (size_t i = 0; i < n; ++i) {
        if (i > 0 && before > rule.top_p * total) n = i;
        before += std::exp((z[order[i]] - z[order[0]]) * scale);
      }
    }
    if (rule.top_k > 0) n = std::min<size_t>(n, rule.top_k);
    order.resize(n);
    std::ranges::sort(order);
  }
  Filtered left;
  for (const int32_t id : order) left.logits.push_back(z[id] * scale);
  left.ids = std::move(order);
  return left;
}

// Draws one of the tokens, or takes the most probable at temperature 0.
size_t choose(const Filtered& left, float temperature, uint64_t seed) {
  if (temperature == 0) return std::ranges::max_element(left.logits) - left.logits.begin();
  SplitMix64 rng(seed);
  size_t best = 0;
  double most = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < left.ids.size(); ++i) {
    const double value = left.logits[i] + gumbel(rng);
    if (value <= most) continue;
    most = value;
    best = i;
  }
  return best;
}

void judge_filtered(const Filtered& left, size_t chosen, Proposal& out) {
  const double max = *std::ranges::max_element(left.logits);
  double total = 0;
  double weighted = 0;
  double first = 0;
  double second = 0;
  for (const double logit : left.logits) {
    const double e = std::exp(logit - max);
    total += e;
    weighted += e > 0 ? e * (logit - max) : 0;
    if (e > first) {
      second = first;
      first = e;
    } else {
      second = std::max(second, e);
    }
  }
  out.confidence = static_cast<float>(std::exp(left.logits[chosen] - max) / total);
  out.margin = static_cast<float>((first - second) / total);
  out.neg_entropy = static_cast<float>(weighted / total - std::log(total));
}

}  // namespace

Proposal row_proposal(const float* logits, int32_t n_vocab, const ProposalRule& rule,
                      uint64_t seed) {
  Proposal out = HWY_DYNAMIC_DISPATCH(CleanProposal)(logits, n_vocab, rule);
  const bool is_filtered = rule.top_p < 1 || rule.top_k > 0;
  if ((rule.temperature == 0 && !is_filtered) || std::isnan(out.confidence)) return out;
  const Filtered left = filter(logits, n_vocab, rule);
  const size_t chosen = choose(left, rule.temperature, seed);
  if (rule.is_judged_filtered) {
    judge_filtered(left, chosen, out);
  } else {
    // confidence is exp(max - lse) so far, of out.token.
    out.confidence *= std::exp(logits[left.ids[chosen]] - logits[out.token]);
  }
  out.token = left.ids[chosen];
  return out;
}

}  // namespace reprise
#endif
