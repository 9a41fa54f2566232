#include "policies/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/printable.h"
#include "core/utf8.h"

namespace reprise {
namespace {

using Type = OptionSpec::Type;

constexpr size_t kMaxText = 256;

// The whole text as a number, or nothing.
template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [after, code] = std::from_chars(text.data(), end, value);
  if (code != std::errc() || after != end) return std::nullopt;
  return value;
}

std::string takes(const OptionSpec& spec) {
  switch (spec.type) {
    case Type::kInt:
      return fmt::format("a whole number in {}", spec.range());
    case Type::kOddInt:
      return fmt::format("an odd number in {}..{}", spec.min, spec.max);
    case Type::kReal:
      return fmt::format("a number {}{}", spec.excludes_min ? "" : "in ", spec.range());
    case Type::kChoice:
      return fmt::format("one of {}", fmt::join(spec.choices, ", "));
    case Type::kText:
      return fmt::format("UTF-8 text of at most {} bytes without control characters", kMaxText);
    case Type::kBudget:
      break;
  }
  return spec.range();
}

[[noreturn]] void refuse(const OptionSpec& spec, std::string_view text) {
  throw Error(
      fmt::format("'{}' does not fit, '{}' takes {}", printable(text), spec.name, takes(spec)));
}

// It is shown again in messages and tables, so nothing may drive a terminal.
void check_text(const OptionSpec& spec, std::string_view text) {
  check_utf8(text, spec.name);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; };
  if (text.size() > kMaxText || std::ranges::any_of(text, is_control)) {
    refuse(spec, text);
  }
}

}  // namespace

std::string OptionSpec::range() const {
  switch (type) {
    case Type::kInt:
    case Type::kReal:
      if (excludes_min) return fmt::format("above {}, up to {}", min, max);
      return fmt::format("{}..{}", min, max);
    case Type::kOddInt:
      return fmt::format("{}..{}, odd", min, max);
    case Type::kChoice:
      return fmt::format("{}", fmt::join(choices, "|"));
    case Type::kText:
      return "text";
    case Type::kBudget:
      break;
  }
  return "N, 64MiB or 12.5%";
}

OptionSpec int_option(std::string_view name, int32_t fallback, int32_t min, int32_t max,
                      std::string_view help) {
  return {.name = name,
          .type = Type::kInt,
          .default_text = fmt::format("{}", fallback),
          .min = static_cast<double>(min),
          .max = static_cast<double>(max),
          .choices = {},
          .help = help};
}

OptionSpec odd_int_option(std::string_view name, int32_t fallback, int32_t min, int32_t max,
                          std::string_view help) {
  OptionSpec spec = int_option(name, fallback, min, max, help);
  spec.type = Type::kOddInt;
  return spec;
}

OptionSpec real_option(std::string_view name, double fallback, double min, double max,
                       std::string_view help) {
  return {.name = name,
          .type = Type::kReal,
          .default_text = fmt::format("{}", fallback),
          .min = min,
          .max = max,
          .choices = {},
          .help = help};
}

OptionSpec positive_option(std::string_view name, double fallback, double max,
                           std::string_view help) {
  OptionSpec spec = real_option(name, fallback, 0, max, help);
  spec.excludes_min = true;
  return spec;
}

OptionSpec choice_option(std::string_view name, const std::vector<std::string_view>& choices,
                         std::string_view help) {
  assert(!choices.empty());
  return {.name = name,
          .type = Type::kChoice,
          .default_text = std::string(choices.front()),
          .choices = choices,
          .help = help};
}

OptionSpec budget_option(std::string_view name, std::string_view fallback, std::string_view help) {
  return {.name = name,
          .type = Type::kBudget,
          .default_text = std::string(fallback),
          .choices = {},
          .help = help};
}

OptionSpec text_option(std::string_view name, std::string_view fallback, std::string_view help) {
  return {.name = name,
          .type = Type::kText,
          .default_text = std::string(fallback),
          .choices = {},
          .help = help};
}

Options::Options(std::string where, std::span<const OptionSpec> specs, std::string_view text)
    : where_(std::move(where)) {
  for (const OptionSpec& spec : specs) {
    items_.push_back({spec.name, parse(spec, spec.default_text)});
  }
  while (!text.empty()) {
    const size_t comma = text.find(',');
    read(specs, text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) read(specs, text);  // a comma at the end
  }
}

void Options::read(std::span<const OptionSpec> specs, std::string_view item) {
  const auto fail = [&](std::string_view what) {
    throw Error(fmt::format("{}:{}: {}", where_, printable(item), what));
  };
  if (item.empty()) fail("an option is missing, write key=value");
  const size_t equals = item.find('=');
  const std::string_view key = item.substr(0, equals);
  const auto spec = std::ranges::find(specs, key, &OptionSpec::name);
  if (spec == specs.end()) {
    std::vector<std::string_view> known;
    for (const OptionSpec& s : specs) known.push_back(s.name);
    fail(fmt::format("no option '{}'{} 'reprise policies' lists all", key,
                     did_you_mean(key, known)));
  }
  if (equals == std::string_view::npos || equals + 1 == item.size()) {
    fail(fmt::format("the value is missing, write {}={} ('{}' takes {})", key, spec->default_text,
                     key, takes(*spec)));
  }
  Item& stored = items_[static_cast<size_t>(spec - specs.begin())];
  if (stored.is_given) fail(fmt::format("'{}' is given twice, leave one out", key));
  stored.is_given = true;
  try {
    stored.value = parse(*spec, item.substr(equals + 1));
  } catch (const Error& e) {
    fail(e.what());
  }
}

Options::Value Options::parse(const OptionSpec& spec, std::string_view text) {
  switch (spec.type) {
    case Type::kInt:
    case Type::kOddInt: {
      const std::optional<int32_t> value = number<int32_t>(text);
      if (!value || *value < spec.min || *value > spec.max) refuse(spec, text);
      if (spec.type == Type::kOddInt && *value % 2 == 0) refuse(spec, text);
      return *value;
    }
    case Type::kReal: {
      const std::optional<double> value = number<double>(text);
      // Written so that NaN fails.
      if (!value || !(*value >= spec.min && *value <= spec.max)) refuse(spec, text);
      if (spec.excludes_min && *value == spec.min) refuse(spec, text);
      return *value;
    }
    case Type::kChoice: {
      const auto found = std::ranges::find(spec.choices, text);
      if (found == spec.choices.end()) {
        throw Error(fmt::format("'{}' is unknown{} '{}' takes {}", text,
                                did_you_mean(text, spec.choices), spec.name, takes(spec)));
      }
      return *found;
    }
    case Type::kText:
      check_text(spec, text);
      return std::string(text);
    case Type::kBudget:
      break;
  }
  return parse_budget(text);
}

const Options::Item& Options::item(std::string_view name) const {
  const auto found = std::ranges::find(items_, name, &Item::name);
  assert(found != items_.end());
  return *found;
}

int32_t Options::i32(std::string_view name) const { return std::get<int32_t>(item(name).value); }
double Options::real(std::string_view name) const { return std::get<double>(item(name).value); }
std::string_view Options::choice(std::string_view name) const {
  return std::get<std::string_view>(item(name).value);
}
const Budget& Options::budget(std::string_view name) const {
  return std::get<Budget>(item(name).value);
}
const std::string& Options::text(std::string_view name) const {
  return std::get<std::string>(item(name).value);
}
bool Options::is_given(std::string_view name) const { return item(name).is_given; }

}  // namespace reprise
