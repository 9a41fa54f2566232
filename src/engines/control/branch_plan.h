#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "policies/branch/branch_schedule.h"

namespace reprise {

// In which order the outputs of reused branches join the rows.
enum class ReuseOrder : uint8_t {
  kRunSums,     // neighbours that several steps reuse are added up once: another rounding
  kSequential,  // one after the other, as the reference code does
};

// One piece of work of a step, on rows h. Branches are given as [begin, end).
struct BranchWork {
  enum class Kind : uint8_t {
    kCompute,  // h += output of branch begin; kept when i_store >= 0
    kAdd,      // h += kept outputs, in order
    kSum,      // sum i_store = total of the kept outputs, then h += it
    kAddSum,   // h += sum i_store
  };
  Kind kind;
  int32_t begin, end;
  int32_t i_store;  // kCompute: place of the output, -1: nobody needs it again; k*Sum: of the sum
};

// What every step of a call does, worked out once per schedule. A maximal run of reused branches
// that stays as it is over several steps is summed once and kept until one of its members is
// computed again. Source: BAC, arXiv 2506.13456; the run sums are ours.
class BranchPlan {
 public:
  BranchPlan(const BranchSchedule& schedule, ReuseOrder order);

  std::span<const BranchWork> step(int32_t k) const;
  // A step that computes nothing, whose only work is adding one sum.
  bool is_all_reuse(int32_t k) const;
  // Place of branch b's kept output; -1 when none is ever kept.
  int32_t i_output(int32_t b) const { return i_outputs_[b]; }
  int32_t n_outputs() const { return n_outputs_; }  // places of outputs that are kept
  int32_t n_sums() const { return n_sums_; }        // places of sums

 private:
  void list_work(const BranchSchedule& schedule);
  void share_sums(const BranchSchedule& schedule);

  int32_t n_branches_;
  int32_t n_outputs_ = 0;
  int32_t n_sums_ = 0;
  std::vector<int32_t> i_outputs_;
  std::vector<BranchWork> work_;
  std::vector<size_t> begins_;  // of each step in work_; one more at the end
};

}  // namespace reprise
