#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reprise {

// How much of the KV cache may stay after a prefill: of the whole sequence, or of each turn
// (KvPlan::judges_turns_alone).
struct Budget {
  enum class Kind : uint8_t {
    kUnlimited,
    kEntries,  // average entries per eligible layer, window included
    kBytes,    // all KV bytes of the sequence, sliding-window layers included
    kShare,    // 0 < value <= 1: of the entries in eligible layers of all tokens read
  };
  Kind kind = Kind::kUnlimited;
  double value = 0;
};

// Reads "1024", "64MiB" (KiB, MiB, GiB) or "12.5%". Throws Error that says what is allowed.
Budget parse_budget(std::string_view text);
// As a user would write it.
std::string to_string(const Budget& budget);

}  // namespace reprise
