#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/bench_report.h"

namespace reprise {

// What the KV bench measured of one contestant at one context.
struct KvMeasured {
  std::string name;  // "cake:budget=1024"
  enum class Side : uint8_t { kPolicy, kPeer } side = Side::kPolicy;
  std::vector<double> prefill_s;      // [runs]: the whole prompt
  std::vector<double> decode_s;       // [runs]: one token
  int64_t kv_read_bytes = 0;          // K and V that one token reads
  int64_t peak_kv_bytes = 0;          // 0: unknown
  int64_t peak_rss_bytes = 0;         // of the process with this contestant alone; 0: unknown
  int64_t peak_formula_bytes = 0;     // 0: does not apply
  std::vector<double> policy_share;   // [runs]: of the prefill's time
  std::vector<double> copy_share;     // [runs]: that part of it which moves what is kept
  std::vector<double> replace_share;  // [runs]: of the decode's time; empty: replaces nothing
  std::string full_cache_type;        // "f16", of a policy that keeps everything; else empty
  struct Quality {
    double kl = 0;    // KL(full || this) in nats a token
    double top1 = 0;  // share of tokens with the same most probable one as full
  };
  std::optional<Quality> quality = {};  // of those that give logits
};

struct KvContextMeasured {
  int32_t context = 0;
  std::vector<KvMeasured> contestants;  // "full" first
  std::vector<double> empty_s;          // [runs]: one token of `full` on an empty cache
  std::vector<double> bandwidth;        // [runs]: bytes a second
  // Runs of `full` with a trace of its graph nodes: what all threads together did not spend in
  // them, barriers inside them and gaps between them included, as a share of threads x time.
  std::vector<double> barrier_share;  // [runs]
  std::vector<double> traced_s;       // [runs]: one token
};

// The contestants behind the ratios' keys; those that did not run give none.
struct KvRatioSubjects {
  std::string label;           // "cake1024", in keys
  std::string cake;            // contestant's name
  std::string replacing;       // the same with decode=cake
  std::string replacing_tova;  // with decode=tova
  std::string no_cascade;      // with cascade=off

  static KvRatioSubjects of_budget(int32_t budget);
};

// Rows, columns and ratios of the report, from the measured runs. Runs of one round stand at the
// same index, so that ratios compare what ran side by side; libllama counts with the faster of its
// settings. weight_bytes: that one token reads.
void fill_kv_report(std::span<const KvContextMeasured> contexts, const KvRatioSubjects& subjects,
                    int64_t weight_bytes, BenchReport& report);

}  // namespace reprise
