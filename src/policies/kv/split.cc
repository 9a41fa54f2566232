#include "policies/kv/split.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace reprise {
namespace {

// The preferences, or ones where they cannot be used.
std::vector<double> usable(std::span<const double> preference) {
  if (is_unusable(preference)) return std::vector<double>(preference.size(), 1.0);
  return {preference.begin(), preference.end()};
}

// The level at which the layers hold n_units together: min(cap_l, level * P_l), as real numbers.
std::vector<double> fill_up(const SplitInput& in, const std::vector<double>& p, double n_units) {
  const size_t n = p.size();
  std::vector<double> ideal(n, 0);
  std::vector<bool> full(n, false);
  while (true) {
    double p_open = 0;
    double units_open = n_units;
    for (size_t l = 0; l < n; ++l) {
      if (full[l]) {
        units_open -= in.cap_of(l);
      } else {
        p_open += p[l];
      }
    }
    bool again = false;
    for (size_t l = 0; l < n; ++l) {
      if (full[l]) continue;
      ideal[l] = p_open > 0 ? units_open * p[l] / p_open : 0;
      if (ideal[l] > in.cap_of(l)) {
        ideal[l] = in.cap_of(l);
        full[l] = true;
        again = true;
      }
    }
    if (!again) return ideal;
  }
}

// Rounds down and gives what is missing to `n_units` to the largest fractions, the lower index
// first.
std::vector<int32_t> round_to_sum(const SplitInput& in, const std::vector<double>& ideal,
                                  int64_t n_units) {
  std::vector<int32_t> out(ideal.size());
  std::vector<size_t> order(ideal.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<double> fraction(ideal.size());
  for (size_t l = 0; l < ideal.size(); ++l) {
    out[l] = static_cast<int32_t>(std::min<double>(in.cap_of(l), std::floor(ideal[l] + 1e-9)));
    fraction[l] = ideal[l] - out[l];
    n_units -= out[l];
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return fraction[a] > fraction[b]; });
  while (n_units > 0) {
    const int64_t before = n_units;
    for (const size_t l : order) {
      if (n_units > 0 && out[l] < in.cap_of(l)) {
        ++out[l];
        --n_units;
      }
    }
    if (n_units == before) break;  // every layer is full
  }
  return out;
}

// Adds `n_units` evenly to the layers below their cap, the first ones by one more: one pass, as the
// official code does.
void spread_evenly(const SplitInput& in, std::vector<int32_t>& out, int64_t n_units) {
  std::vector<size_t> open;
  for (size_t l = 0; l < out.size(); ++l) {
    if (out[l] < in.cap_of(l)) open.push_back(l);
  }
  if (open.empty()) return;
  const auto n_open = static_cast<int64_t>(open.size());
  for (int64_t i = 0; i < n_open; ++i) {
    out[open[i]] += static_cast<int32_t>(n_units / n_open + (i < n_units % n_open ? 1 : 0));
  }
}

}  // namespace

int64_t SplitInput::n_candidates(size_t n) const {
  if (caps.empty()) return static_cast<int64_t>(n) * cap;
  return std::accumulate(caps.begin(), caps.begin() + static_cast<ptrdiff_t>(n), int64_t{0});
}

bool is_unusable(std::span<const double> preference) {
  double sum = 0;
  for (const double p : preference) {
    if (!(p >= 0)) return true;
    sum += p;
  }
  return !std::isfinite(sum) || sum <= 0;
}

std::vector<int32_t> split_waterfill(const SplitInput& in) {
  const std::vector<double> p = usable(in.preference);
  const size_t n = p.size();
  int64_t n_units = std::min(in.n_total, in.n_candidates(n));
  // Rounding adds at most half a unit a layer, so this much less is surely not too much.
  std::vector<int32_t> out(n);
  const std::vector<double> level =
      fill_up(in, p, std::max(0.0, static_cast<double>(n_units) - 0.5 * static_cast<double>(n)));
  for (size_t l = 0; l < n; ++l) {
    out[l] = static_cast<int32_t>(std::floor(level[l] * (1 - 1e-9) + 0.5));
    n_units -= out[l];
  }
  for (; n_units > 0; --n_units) {
    size_t best = n;
    for (size_t l = 0; l < n; ++l) {
      if (out[l] == in.cap_of(l)) continue;
      // P / (b + 1/2), without the division. Ties go to the lower layer; layers that want nothing
      // share evenly what all others have no place for.
      const double more = best == n ? 1 : p[l] * (out[best] + 0.5) - p[best] * (out[l] + 0.5);
      if (more > 0 || (p[l] == 0 && more == 0 && out[l] < out[best])) best = l;
    }
    ++out[best];
  }
  return out;
}

std::vector<int32_t> split_official(const SplitInput& in) {
  const std::vector<double> p = usable(in.preference);
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  std::vector<int32_t> out(p.size());
  int64_t excess = 0;
  for (size_t l = 0; l < p.size(); ++l) {
    const auto ideal = static_cast<int64_t>(p[l] / sum * static_cast<double>(in.n_total));
    out[l] = static_cast<int32_t>(std::min<int64_t>(ideal, in.cap_of(l)));
    excess += ideal - out[l];
  }
  if (excess > 0) spread_evenly(in, out, excess);
  const int64_t rest = in.n_total - std::accumulate(out.begin(), out.end(), int64_t{0});
  if (rest > 0) {
    spread_evenly(in, out, rest);
  } else if (rest < 0) {
    std::vector<size_t> open;
    for (size_t l = 0; l < out.size(); ++l) {
      if (out[l] > 1) open.push_back(l);
    }
    const auto n_open = static_cast<int64_t>(open.size());
    for (int64_t i = 0; i < n_open; ++i) {
      out[open[i]] -= static_cast<int32_t>(-rest / n_open + (i < -rest % n_open ? 1 : 0));
    }
  }
  for (size_t l = 0; l < out.size(); ++l) out[l] = std::clamp(out[l], 0, in.cap_of(l));
  return out;
}

std::vector<int32_t> split_uniform(const SplitInput& in) {
  assert(in.n_layer >= static_cast<int32_t>(in.preference.size()));
  const std::vector<double> ideal(in.n_layer, static_cast<double>(in.n_total) / in.n_layer);
  std::vector<int32_t> out =
      round_to_sum(in, ideal, std::min(in.n_total, in.n_candidates(ideal.size())));
  out.resize(in.preference.size());
  return out;
}

std::vector<int32_t> split_pyramid(const SplitInput& in, double beta) {
  assert(in.n_layer >= static_cast<int32_t>(in.preference.size()) && beta >= 1);
  const double mean = static_cast<double>(in.n_total) / in.n_layer;
  const double last = mean / beta;
  const double first = 2 * mean - last;
  std::vector<double> shape(in.n_layer);
  for (int32_t l = 0; l < in.n_layer; ++l) {
    shape[l] = in.n_layer == 1 ? mean : first + (last - first) * l / (in.n_layer - 1);
  }
  // The slope is the preference; filling up by level keeps the sum where the cap cuts the first
  // layers.
  SplitInput all = in;
  all.preference = shape;
  std::vector<int32_t> out = split_waterfill(all);
  out.resize(in.preference.size());
  return out;
}

}  // namespace reprise
