#include "engines/infill/equal_rows_gain.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/split_mix.h"

namespace reprise {
namespace {

// Share of right answers that the points reach at `rows`: joined by lines where more rows give
// more, level behind the last and in front of the first.
double reached(std::vector<std::pair<double, double>> points, double rows) {
  std::ranges::sort(points);
  std::pair<double, double> before = points.front();
  for (const auto& point : points) {
    if (point.second <= before.second) continue;  // costs more and gives no more
    if (before.first >= rows) break;
    if (point.first > rows) {
      const double part = (rows - before.first) / (point.first - before.first);
      return before.second + part * (point.second - before.second);
    }
    before = point;
  }
  return before.second;
}

// Rows and share of right answers over drawn prompts.
std::pair<double, double> point(const DllmResult& result, const std::vector<size_t>& drawn) {
  double rows = 0;
  double right = 0;
  for (const size_t i : drawn) {
    rows += static_cast<double>(result.outcomes[i].n_rows);
    right += result.outcomes[i].verdict.is_right ? 1 : 0;
  }
  const auto n = static_cast<double>(drawn.size());
  return {rows / n, right / n};
}

double gain_of(const DllmResult& method, const std::vector<const DllmResult*>& fixed,
               const std::vector<size_t>& drawn) {
  const auto [rows, right] = point(method, drawn);
  std::vector<std::pair<double, double>> points;
  for (const DllmResult* other : fixed) points.push_back(point(*other, drawn));
  return right - reached(points, rows);
}

}  // namespace

GainAtEqualRows gain_at_equal_rows(const DllmResult& method,
                                   const std::vector<const DllmResult*>& fixed) {
  constexpr int32_t kDraws = 1000;
  const size_t n = method.outcomes.size();
  std::vector<size_t> drawn(n);
  std::iota(drawn.begin(), drawn.end(), size_t{0});
  GainAtEqualRows out;
  out.gain = gain_of(method, fixed, drawn);
  SplitMix64 rng(1);
  std::vector<double> gains;
  for (int32_t draw = 0; draw < kDraws; ++draw) {
    for (size_t& i : drawn) i = rng.next() % n;
    gains.push_back(gain_of(method, fixed, drawn));
  }
  std::ranges::sort(gains);
  out.low = gains[kDraws * 25 / 1000];
  out.high = gains[kDraws * 975 / 1000];
  return out;
}

}  // namespace reprise
