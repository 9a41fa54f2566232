#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"

namespace reprise {

// What one run of a kernel case does.
struct KernelWork {
  std::string name;     // "decode attention q8_0"
  bool is_ours = true;  // or ggml's own, to compare with
  double ops = 0;       // a multiply-add counts two
  double bytes = 0;     // that must come from memory at least once
  // What would be the limit of a perfect kernel: reading the bytes, or the operations in the
  // arithmetic that it does them in.
  enum class Bound : uint8_t { kReading, kF32, kInt8 } bound = Bound::kF32;
  std::string cache_type = {};  // of decode attention on SmolLM2's heads, else empty
  double f16_cache_bytes = 0;   // of the same entries in F16
};

// One kernel in the graph node that the engine runs it in, on data that no cache holds.
class KernelCase {
 public:
  KernelCase(const Backend& backend, KernelWork work) : arena_(backend), work_(std::move(work)) {}
  virtual ~KernelCase() = default;
  KernelCase(const KernelCase&) = delete;
  KernelCase& operator=(const KernelCase&) = delete;

  const KernelWork& work() const { return work_; }
  // Computes it once; seconds of the computing alone.
  double run_s();

 protected:
  virtual void build() = 0;  // adds the nodes to arena_
  virtual void fill() = 0;   // writes the inputs

  GraphArena arena_;

 private:
  KernelWork work_;
};

// What the cases are computed on, for a report: {"attention", "8,000 entries ..."}.
std::vector<std::pair<std::string, std::string>> kernel_case_facts();
// All of them, with their data in memory: about 1 GB. Throws Error when it is short.
std::vector<std::unique_ptr<KernelCase>> all_kernel_cases(const Backend& backend);

}  // namespace reprise
