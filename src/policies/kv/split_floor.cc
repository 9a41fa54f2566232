#include "policies/kv/split_floor.h"

#include <algorithm>
#include <cassert>

namespace reprise {

std::vector<int32_t> split_with_floor(std::vector<int32_t> (*rule)(const SplitInput&),
                                      const SplitInput& in, int32_t n_min) {
  assert(n_min >= 0 && in.n_layer > 0);
  n_min = static_cast<int32_t>(std::min<int64_t>({n_min, in.cap, in.n_total / in.n_layer}));
  std::vector<int32_t> out(in.preference.size(), n_min);
  std::vector<size_t> open(out.size());
  for (size_t l = 0; l < open.size(); ++l) open[l] = l;
  while (!open.empty()) {
    std::vector<double> preference;
    preference.reserve(open.size());
    for (const size_t l : open) preference.push_back(in.preference[l]);
    SplitInput rest = in;
    rest.preference = preference;
    rest.n_total -= static_cast<int64_t>(n_min) * static_cast<int64_t>(out.size() - open.size());
    const std::vector<int32_t> got = rule(rest);
    std::vector<size_t> above;
    for (size_t i = 0; i < open.size(); ++i) {
      if (got[i] >= n_min) above.push_back(open[i]);
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
