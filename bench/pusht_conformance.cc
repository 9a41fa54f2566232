// Usage: pusht_conformance [N]. Prints as JSON how the Push-T world agrees with Chipmunk 7.0.3 over
// the four named motions and N scripted episodes (100 unless given). Ends with 1 when a target is
// missed.

#include "support/pusht_conformance.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string_view>

namespace {

constexpr double kLeastShare = 0.97;
constexpr double kMostDifference = 1e-6;  // px, of a named motion

// Prints the report; whether all targets are met.
bool report(int32_t n_episodes) {
  const reprise::ConformanceReport found = reprise::pusht_conformance(n_episodes);
  nlohmann::ordered_json json;
  json["bench"] = "pusht conformance";
  json["peer"] = "Chipmunk 7.0.3";
  bool is_met = found.share_within_1e6 >= kLeastShare && found.replayed_success_share == 1;
  for (const auto& motion : found.motions) {
    json["motions_largest_difference_px"][motion.name] = motion.largest_difference;
    is_met = is_met && motion.largest_difference <= kMostDifference;
  }
  json["n_episodes"] = found.n_episodes;
  json["conformance_share_within_1e-6"] = found.share_within_1e6;
  json["conformance_share_within_1e-3"] = found.share_within_1e3;
  json["largest_difference_px"] = found.largest_difference;
  json["expert_success_share"] = found.solved_share;
  json["replayed_success_share"] = found.replayed_success_share;
  json["n_wedged"] = found.n_wedged;
  json["wedged_share_within_1e-5"] = found.wedged_share_within_1e5;
  json["wedged_largest_difference_px"] = found.wedged_largest_difference;
  fmt::print("{}\n", json.dump(2));
  return is_met;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    int32_t n_episodes = 100;
    if (argc > 1) {
      const std::string_view text = argv[1];
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n_episodes);
      if (argc > 2 || error != std::errc() || end != text.data() + text.size() || n_episodes < 1) {
        fmt::print(stderr, "pusht_conformance: '{}' episodes; expected one whole number from 1\n",
                   text);
        return 2;
      }
    }
    return report(n_episodes) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pusht_conformance: %s\n", error.what());
    return 1;
  }
}
