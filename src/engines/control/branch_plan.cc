#include "engines/control/branch_plan.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace reprise {

using Kind = BranchWork::Kind;

BranchPlan::BranchPlan(const BranchSchedule& schedule, ReuseOrder order)
    : n_branches_(schedule.shape().n_branches()), i_outputs_(n_branches_, -1) {
  list_work(schedule);
  if (order == ReuseOrder::kRunSums) share_sums(schedule);
}

std::span<const BranchWork> BranchPlan::step(int32_t k) const {
  return std::span(work_).subspan(begins_[k], begins_[k + 1] - begins_[k]);
}

bool BranchPlan::is_all_reuse(int32_t k) const {
  const auto work = step(k);
  return work.size() == 1 && (work[0].kind == Kind::kSum || work[0].kind == Kind::kAddSum) &&
         work[0].begin == 0 && work[0].end == n_branches_;
}

// Everything in order, runs of reused branches as kAdd.
void BranchPlan::list_work(const BranchSchedule& schedule) {
  const int32_t n_steps = schedule.shape().n_steps;
  for (int32_t k = 0; k < n_steps; ++k) {
    begins_.push_back(work_.size());
    for (int32_t b = 0; b < n_branches_;) {
      int32_t end = b + 1;
      if (schedule.computes(b, k)) {
        const bool is_kept = k + 1 < n_steps && !schedule.computes(b, k + 1);
        if (is_kept && i_outputs_[b] < 0) i_outputs_[b] = n_outputs_++;
        work_.push_back({Kind::kCompute, b, end, is_kept ? i_outputs_[b] : -1});
      } else {
        while (end < n_branches_ && !schedule.computes(end, k)) ++end;
        work_.push_back({Kind::kAdd, b, end, -1});
      }
      b = end;
    }
  }
  begins_.push_back(work_.size());
}

// Finds runs that return before any member was computed anew, and gives each such chain a sum. The
// places of sums are taken again once a chain has ended.
void BranchPlan::share_sums(const BranchSchedule& schedule) {
  struct Chain {
    int32_t begin, end;
    std::vector<std::pair<int32_t, size_t>> uses;  // step and index of work
  };
  std::vector<Chain> open;
  std::vector<Chain> chains;
  for (int32_t k = 0; k < schedule.shape().n_steps; ++k) {
    const auto is_stale = [&](const Chain& chain) {
      for (int32_t b = chain.begin; b < chain.end; ++b) {
        if (schedule.computes(b, k)) return true;
      }
      return false;
    };
    const auto ended = std::partition(open.begin(), open.end(), std::not_fn(is_stale));
    std::move(ended, open.end(), std::back_inserter(chains));
    open.erase(ended, open.end());
    for (size_t i = begins_[k]; i < begins_[k + 1]; ++i) {
      const BranchWork& work = work_[i];
      if (work.kind != Kind::kAdd) continue;
      const auto known = std::ranges::find_if(
          open, [&](const Chain& c) { return c.begin == work.begin && c.end == work.end; });
      if (known != open.end()) {
        known->uses.emplace_back(k, i);
      } else {
        open.push_back({work.begin, work.end, {{k, i}}});
      }
    }
  }
  std::move(open.begin(), open.end(), std::back_inserter(chains));
  // A sum pays when it is used twice. A step without any computed branch always takes one: it is
  // computed in one pass over each row.
  std::erase_if(chains, [&](const Chain& chain) {
    const bool is_everything = chain.begin == 0 && chain.end == n_branches_;
    return !is_everything && (chain.uses.size() < 2 || chain.end - chain.begin < 2);
  });
  std::ranges::sort(chains, {}, [](const Chain& chain) { return chain.uses.front(); });
  std::vector<int32_t> free_from;  // by place of a sum: the first step after its chain
  for (const Chain& chain : chains) {
    const int32_t first = chain.uses.front().first;
    auto place = std::ranges::find_if(free_from, [&](int32_t step) { return step <= first; });
    if (place == free_from.end()) place = free_from.insert(place, 0);
    *place = chain.uses.back().first + 1;
    for (const auto& [k, i] : chain.uses) {
      work_[i].kind = k == first ? Kind::kSum : Kind::kAddSum;
      work_[i].i_store = static_cast<int32_t>(place - free_from.begin());
    }
  }
  n_sums_ = static_cast<int32_t>(free_from.size());
}

}  // namespace reprise
