#include "policies/kv/budget.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "core/error.h"

namespace reprise {
namespace {

constexpr double kMaxBytes = 1125899906842624;  // 1 PiB: counts of bytes stay exact in a double

struct Unit {
  std::string_view name;
  double n_bytes;
};
constexpr Unit kUnits[] = {{"GiB", 1073741824}, {"MiB", 1048576}, {"KiB", 1024}};  // largest first

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw Error(fmt::format(
      "'{}' is no budget: {}; give entries a layer (1024), bytes in KiB, MiB or GiB (64MiB) or a "
      "share of the entries (12.5%)",
      text, why));
}

}  // namespace

Budget parse_budget(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [after, code] =
      std::from_chars(text.data(), end, value, std::chars_format::fixed);  // no exponents
  if (code == std::errc::invalid_argument) refuse(text, "it does not start with a number");
  // Also what from_chars reads as infinity or NaN.
  if (code != std::errc() || !(value <= kMaxBytes)) refuse(text, "the number is too large");
  if (value <= 0) refuse(text, "it must be above zero");

  const std::string_view number(text.data(), static_cast<size_t>(after - text.data()));
  const std::string_view unit = text.substr(number.size());
  if (unit.empty()) {
    if (number.find('.') != std::string_view::npos) refuse(text, "entries are whole");
    if (value > std::numeric_limits<int32_t>::max()) refuse(text, "the number is too large");
    return {Budget::Kind::kEntries, value};
  }
  if (unit == "%") {
    if (value > 100) refuse(text, "a share ends at 100%");
    return {Budget::Kind::kShare, value / 100};
  }
  for (const Unit& known : kUnits) {
    if (unit != known.name) continue;
    if (value * known.n_bytes > kMaxBytes) refuse(text, "the number is too large");
    return {Budget::Kind::kBytes, value * known.n_bytes};
  }
  refuse(text, fmt::format("'{}' is no unit", unit));
}

std::string to_string(const Budget& budget) {
  switch (budget.kind) {
    case Budget::Kind::kUnlimited:
      return "unlimited";
    case Budget::Kind::kEntries:
      return fmt::format("{:.0f}", budget.value);
    case Budget::Kind::kShare:
      return fmt::format("{:.10g}%", budget.value * 100);
    case Budget::Kind::kBytes:
      break;
  }
  for (const Unit& unit : kUnits) {
    if (budget.value >= unit.n_bytes) {
      return fmt::format("{}{}", budget.value / unit.n_bytes, unit.name);
    }
  }
  return fmt::format("{}{}", budget.value / 1024, "KiB");
}

}  // namespace reprise
