#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace reprise {

// The residual branches of a policy transformer and the denoising steps of one call. Branches are
// numbered as they are executed, layer by layer: self attention, cross attention (in decoders
// alone), feed-forward.
struct BranchShape {
  int32_t n_layers = 0;
  int32_t n_steps = 0;       // K: forwards of one call
  int32_t n_of_a_layer = 3;  // branches: 3 of a decoder's layer, 2 of an encoder's

  int32_t n_branches() const { return n_of_a_layer * n_layers; }
  int32_t layer_of(int32_t b) const { return b / n_of_a_layer; }
  int32_t feed_forward_of(int32_t layer) const { return n_of_a_layer * (layer + 1) - 1; }
  // "self attention of layer 2"
  std::string name_of(int32_t b) const;
  bool operator==(const BranchShape&) const = default;
};

// Which branches are computed at which step; at every other one its last computed output is added
// again. Step 0, the noisiest, computes all.
class BranchSchedule {
 public:
  // Every branch at every step, or each at step 0 alone. Throws Error unless there is at least one
  // layer and one step, at most 1024 layers and 65536 steps, and 2 or 3 branches in a layer.
  BranchSchedule(BranchShape shape, bool computes_all);

  const BranchShape& shape() const { return shape_; }
  bool computes(int32_t b, int32_t k) const { return ((words_[word(b, k)] >> (b % 64)) & 1U) != 0; }
  // Throws Error when step 0 would not be computed.
  void set(int32_t b, int32_t k, bool is_computed);
  // Replaces the steps of a branch. Throws Error unless they begin with 0, rise, and are below K.
  void set_steps(int32_t b, std::span<const int32_t> steps);
  // Makes every branch compute step k, too.
  void compute_all_at(int32_t k);

  std::vector<int32_t> steps_of(int32_t b) const;  // rising
  // Over all steps, of K * n_branches.
  int64_t n_computed() const;
  int32_t n_computed_at(int32_t k) const;
  // Bit b % 64 of word b / 64: branch b is computed at step k.
  std::span<const uint64_t> mask(int32_t k) const {
    return std::span(words_).subspan(static_cast<size_t>(k) * n_words_, n_words_);
  }
  int32_t n_distinct_masks() const;
  bool operator==(const BranchSchedule&) const = default;

 private:
  size_t word(int32_t b, int32_t k) const {
    return static_cast<size_t>(k) * n_words_ + static_cast<size_t>(b) / 64;
  }
  void put(int32_t b, int32_t k, bool is_computed);

  BranchShape shape_;
  size_t n_words_;               // of one step
  std::vector<uint64_t> words_;  // [K][n_words]
};

}  // namespace reprise
