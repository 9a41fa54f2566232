#include "policies/kv/split_floor.h"

#include <algorithm>
#include <cassert>

namespace reprise {

std::vector<int32_t> split_with_floor(std::vector<int32_t> (*rule)(const SplitInput&),
                                      const SplitInput& in, int32_t n_min) {
  assert(n_min >= 0 && in.n_layer > 0);
  n_min = static_cast<int32_t>(std::min<int64_t>(n_min, in.n_total / in.n_layer));
  std::vector<int32_t> out(in.preference.size());
  for (size_t l = 0; l < out.size(); ++l) out[l] = std::min(n_min, in.cap_of(l));
  const std::vector<int32_t> floor = out;
  std::vector<size_t> open(out.size());
  for (size_t l = 0; l < open.size(); ++l) open[l] = l;
  int64_t n_fixed = 0;  // of the layers that stay at their floor
  while (!open.empty()) {
    std::vector<double> preference;
    std::vector<int32_t> caps;
    for (const size_t l : open) {
      preference.push_back(in.preference[l]);
      caps.push_back(in.cap_of(l));
    }
    SplitInput rest = in;
    rest.preference = preference;
    rest.caps = caps;
    rest.n_total -= n_fixed;
    const std::vector<int32_t> got = rule(rest);
    std::vector<size_t> above;
    for (size_t i = 0; i < open.size(); ++i) {
      if (got[i] >= floor[open[i]]) {
        above.push_back(open[i]);
      } else {
        n_fixed += floor[open[i]];
      }
    }
    if (above.size() == open.size()) {
      for (size_t i = 0; i < open.size(); ++i) out[open[i]] = got[i];
      break;
    }
    open = std::move(above);
  }
  return out;
}

}  // namespace reprise
