#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/line_process.h"
#include "nets/policy_file.h"

namespace reprise {

// Writes a policy's network, without its normaliser, as safetensors: F32, the reference's names;
// sizes and noise as metadata. Throws Error when the file cannot be written, and on a policy
// without a decoder, which the peer does not have.
void write_policy_safetensors(const PolicyFile& file, const std::string& path);

// The same network in PyTorch, in a process of its own (tools/policy_peer.py): eager, inference
// mode, F32. Between calls it sleeps.
class PolicyPeer {
 public:
  // Which code goes from step to step.
  enum class Loop : uint8_t {
    kDiffusers,  // the scheduler of the diffusers library, as the reference calls it
    kPlain,      // the same arithmetic alone
  };
  static std::string_view name(Loop loop);  // "diffusers", "plain"

  // python: a path or a name, of one that has torch and diffusers. Throws Error when it does not
  // start, with what it says, and how to get one.
  PolicyPeer(const std::string& python, const std::filesystem::path& script,
             const PolicyFile& network);

  const std::string& versions() const { return versions_; }  // "torch 2.8.0, diffusers 0.35.1"
  // The network's output [Tp][Da] for sample [Tp][Da] and obs [To][Do], all normalised. Throws
  // Error with what the process says or when it has ended, as the next two.
  std::vector<float> forward(int32_t timestep, std::span<const float> sample,
                             std::span<const float> obs);
  // Seconds inside that process for one chunk of every robot with all DDPM steps.
  double chunk_s(Loop loop, int32_t n_threads, int32_t n_robots);
  int64_t peak_bytes();  // of its resident memory, libraries included

 private:
  std::vector<double> ask(const std::string& command);

  std::optional<LineProcess> process_;
  std::string versions_;
};

}  // namespace reprise
