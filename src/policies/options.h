#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policies/kv/budget.h"

namespace reprise {

// One option of a policy. Parser, help and documentation all read it here; make one with the
// functions below. Names, choices and help point at literals.
struct OptionSpec {
  enum class Type : uint8_t { kInt, kOddInt, kReal, kChoice, kBudget, kText };
  std::string_view name;
  Type type = Type::kInt;
  std::string default_text;  // as a user would write it
  double min = 0;            // of numbers
  double max = 0;
  bool excludes_min = false;  // of a real number
  std::vector<std::string_view> choices;
  std::string_view help;  // what it is, with its unit

  // What may be given: "4..256", "1..15, odd", "above 0, up to 1", "grow|tova",
  // "N, 64MiB or 12.5%", "text".
  std::string range() const;
};

OptionSpec int_option(std::string_view name, int32_t fallback, int32_t min, int32_t max,
                      std::string_view help);
OptionSpec odd_int_option(std::string_view name, int32_t fallback, int32_t min, int32_t max,
                          std::string_view help);
OptionSpec real_option(std::string_view name, double fallback, double min, double max,
                       std::string_view help);
// A number above 0, up to max.
OptionSpec positive_option(std::string_view name, double fallback, double max,
                           std::string_view help);
// The default is the first choice.
OptionSpec choice_option(std::string_view name, const std::vector<std::string_view>& choices,
                         std::string_view help);
OptionSpec budget_option(std::string_view name, std::string_view fallback, std::string_view help);
// UTF-8 without control characters, at most 256 bytes; a comma would end the option.
OptionSpec text_option(std::string_view name, std::string_view fallback, std::string_view help);

// The values of a policy's options, each inside its range. Asking for a name or a type that was not
// declared is a mistake of ours (assert).
class Options {
 public:
  // Reads "key=value,key=value" (or nothing) against the declared options; those not given take
  // their defaults. `where` opens every message, e.g. "--kv cake". Throws Error on an unknown or
  // repeated key, a missing value, and a value that is malformed or out of range.
  Options(std::string where, std::span<const OptionSpec> specs, std::string_view text);

  int32_t i32(std::string_view name) const;
  double real(std::string_view name) const;
  std::string_view choice(std::string_view name) const;
  const Budget& budget(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  // Whether the user gave it.
  bool is_given(std::string_view name) const;
  // For refusals of values that do not go together: "--kv cake".
  const std::string& where() const { return where_; }

 private:
  using Value = std::variant<int32_t, double, std::string_view, Budget, std::string>;
  struct Item {
    std::string_view name;
    Value value;
    bool is_given = false;
  };
  void read(std::span<const OptionSpec> specs, std::string_view item);
  static Value parse(const OptionSpec& spec, std::string_view text);
  const Item& item(std::string_view name) const;

  std::string where_;
  std::vector<Item> items_;
};

}  // namespace reprise
