#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/bench_report.h"
#include "engines/control/policy_peer.h"
#include "nets/policy_transformer_model.h"

namespace reprise {

// The PyTorch peer's turns in a bench: every setting that might be its fastest.
class PolicyBenchPeer {
 public:
  // batches: robots of one call. Throws Error as PolicyPeer.
  PolicyBenchPeer(const std::string& python, const std::filesystem::path& script,
                  const PolicyFile& network, std::span<const int32_t> batches);

  const std::string& versions() const { return peer_.versions(); }
  // Largest absolute difference between the network's outputs there and here, over the
  // observations [To][Do] in the robot's units and timesteps from first to last.
  double forward_error(const PolicyTransformerModel& model,
                       std::span<const std::vector<float>> observations);
  // One call of every setting still worth it. What is not warm is not kept, and settles which those
  // are.
  void take_turns(size_t i_batch, bool is_warm, const std::function<void()>& on_turn);
  // Seconds of the fastest setting's calls, by median.
  const std::vector<double>& best(size_t i_batch) const;
  void write_rows(size_t i_batch, BenchReport& report);

 private:
  struct Setting {
    PolicyPeer::Loop loop;
    int32_t n_threads;
    bool is_hopeless = false;
    double first_s = 0;
    std::vector<double> call_s = {};
  };

  PolicyPeer peer_;
  std::vector<int32_t> batches_;
  std::vector<std::vector<Setting>> settings_;  // [batches]
};

}  // namespace reprise
