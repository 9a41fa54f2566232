#include "policies/commit/dream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "policies/commit/chosen_rows.h"

namespace reprise {
namespace {

using Alg = DreamConfig::Alg;

struct NamedAlg {
  std::string_view name;
  Alg alg;
  float Proposal::*score;
};

// First the default. The lot needs no score, but a broken model is refused all the same.
constexpr NamedAlg kAlgs[] = {{"entropy", Alg::kEntropy, &Proposal::neg_entropy},
                              {"maskgit_plus", Alg::kMaskgitPlus, &Proposal::confidence},
                              {"topk_margin", Alg::kTopkMargin, &Proposal::margin},
                              {"origin", Alg::kOrigin, &Proposal::confidence}};

// A draw of Gumbel's distribution: the n highest of score / T + draw are n draws without
// replacement from softmax(score / T).
double gumbel(SplitMix64& rng) { return -std::log(-std::log1p(-rng.uniform())); }

}  // namespace

void DreamCommit::check(int32_t budget, int32_t fixed_length) const {
  if (fixed_length >= budget) return;
  throw Error(fmt::format(
      "commit/dream: its schedule runs over the whole text of {} positions, not over spans; take "
      "--span whole, or another --commit for spans",
      budget));
}

void DreamCommit::choose(const CommitView& view, std::vector<int32_t>& chosen) const {
  const NamedAlg& named = *std::ranges::find(kAlgs, config_.alg, &NamedAlg::alg);
  std::vector<float> scores = finite_scores(kDreamCommit.name, view.rows, named.score);
  const int32_t n_steps = config_.steps == 0 ? view.budget : config_.steps;
  if (view.i_step >= n_steps - 1) {
    chosen.resize(scores.size());
    std::iota(chosen.begin(), chosen.end(), 0);
    return;
  }
  // With tau_k = 1 - k (1 - eps) / steps, the share 1 - tau_{k+1} / tau_k is fall / rest.
  const double fall = 1 - config_.eps;
  const double rest = n_steps - view.i_step * fall;
  if (config_.alg == Alg::kOrigin) {
    chosen.clear();
    for (int32_t i = 0; i < static_cast<int32_t>(scores.size()); ++i) {
      if (view.rng->uniform() < fall / rest) chosen.push_back(i);
    }
    return;
  }
  if (config_.alg_temp > 0) {
    for (float& score : scores) {
      score = static_cast<float>(score + config_.alg_temp * gumbel(*view.rng));
    }
  }
  choose_highest(scores, static_cast<size_t>(static_cast<double>(scores.size()) * fall / rest),
                 chosen);
}

const PolicyEntry kDreamCommit = {
    .name = "commit/dream",
    .summary = "commit as many positions as Dream's noise schedule says, over the whole text",
    .source = "Dream 7B, arXiv 2508.15487",
    .when_to_use = "Dream's own decoding, with --span whole",
    .when_not = "spans, caches, or easy text, where commit/threshold needs fewer passes",
    .options = {choice_option("alg", {kAlgs[0].name, kAlgs[1].name, kAlgs[2].name, kAlgs[3].name},
                              "which positions: least entropy, highest probability, largest lead "
                              "over the second, or by lot"),
                int_option("steps", 0, 0, 65536, "passes; 0: one a position of the budget"),
                real_option("eps", 0.001, 0, 0.999, "noise level at which the schedule ends"),
                real_option("alg_temp", 0, 0, 100,
                            "above 0, positions are drawn by softmax(score / alg_temp)")},
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      const DreamConfig config{
          .alg = std::ranges::find(kAlgs, o.choice("alg"), &NamedAlg::name)->alg,
          .steps = o.i32("steps"),
          .eps = o.real("eps"),
          .alg_temp = o.real("alg_temp")};
      if (config.alg == Alg::kOrigin && config.alg_temp > 0) {
        throw Error(fmt::format(
            "{}: alg=origin draws positions without a score, so alg_temp={} changes nothing; leave "
            "one of them out",
            o.where(), config.alg_temp));
      }
      return std::make_unique<DreamCommit>(config);
    }};

}  // namespace reprise
