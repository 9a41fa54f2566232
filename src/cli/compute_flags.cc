#include "cli/compute_flags.h"

namespace reprise {

WeightUse ComputeFlags::weight_use() const {
  if (weights == "as-is") return WeightUse::kAsIs;
  return weights == "expand" ? WeightUse::kExpand : WeightUse::kAuto;
}

void add_compute_flags(CLI::App& verb, ComputeFlags& flags) {
  verb.add_option("--threads", flags.n_threads, "compute threads; default: all cores")
      ->check(CLI::Range(1, 512));
  verb.add_option("--weights", flags.weights,
                  "how a prompt is multiplied with the weights: as-is computes with the file's "
                  "integers and rounds activations to 8 bits, as llama.cpp does; expand in F32, a "
                  "part of the weights at a time; auto takes the faster one for each weight type")
      ->check(CLI::IsMember({"auto", "as-is", "expand"}))
      ->capture_default_str();
}

}  // namespace reprise
