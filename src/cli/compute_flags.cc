#include "cli/compute_flags.h"

namespace reprise {

WeightUse ComputeFlags::weight_use() const {
  return weights == "as-is" ? WeightUse::kAsIs : WeightUse::kExpand;
}

void add_compute_flags(CLI::App& verb, ComputeFlags& flags) {
  verb.add_option("--threads", flags.n_threads, "compute threads; default: all cores")
      ->check(CLI::Range(1, 512));
  verb.add_option("--weights", flags.weights,
                  "how a prompt is multiplied with the weights: expand computes in F32, a part of "
                  "the weights at a time; as-is in the file's own type, as llama.cpp does")
      ->check(CLI::IsMember({"expand", "as-is"}))
      ->capture_default_str();
}

}  // namespace reprise
