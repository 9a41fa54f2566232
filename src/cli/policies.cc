#include "cli/policies.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/text_table.h"
#include "policies/registry.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

struct PoliciesFlags {
  std::string name;
  bool is_json = false;
};

ordered_json to_json(const OptionSpec& option) {
  ordered_json out = {{"name", option.name},
                      {"default", option.default_text},
                      {"range", option.range()},
                      {"help", option.help}};
  if (!option.choices.empty()) out["choices"] = option.choices;
  return out;
}

ordered_json to_json(const PolicyEntry& policy) {
  ordered_json options = ordered_json::array();
  for (const OptionSpec& option : policy.options) options.push_back(to_json(option));
  return {{"name", policy.name},
          {"kind", policy.kind()},
          {"summary", policy.summary},
          {"source", policy.source},
          {"when_to_use", policy.when_to_use},
          {"when_not", policy.when_not},
          {"options", options}};
}

// "--kv cake:budget=1024"
std::string flag_of(const PolicyEntry& policy) {
  std::string flag = fmt::format("--{} {}", policy.kind(), policy.bare_name());
  if (!policy.options.empty()) {
    const OptionSpec& first = policy.options.front();
    flag += fmt::format(":{}={}", first.name, first.default_text);
  }
  return flag;
}

void print_policy(const PolicyEntry& policy) {
  using enum TextTable::Align;
  TextTable about({{""}, {"", kLeft, 84}});
  about.add({std::string(policy.name), std::string(policy.summary)});
  about.add({"flag", flag_of(policy)});
  about.add({"source", std::string(policy.source)});
  about.add({"when to use it", std::string(policy.when_to_use)});
  about.add({"when not", std::string(policy.when_not)});
  fmt::print("{}", about.text());
  if (policy.options.empty()) return;
  TextTable options({{"option"}, {"default"}, {"range", kLeft, 24}, {"what it is", kLeft, 54}});
  for (const OptionSpec& option : policy.options) {
    options.add(
        {std::string(option.name), option.default_text, option.range(), std::string(option.help)});
  }
  fmt::print("\n{}", options.text());
}

void print_all() {
  using enum TextTable::Align;
  TextTable table({{"policy"}, {"what it does", kLeft, 54}, {"source", kLeft, 26}});
  for (const PolicyEntry* policy : all_policies()) {
    table.add(
        {std::string(policy->name), std::string(policy->summary), std::string(policy->source)});
  }
  fmt::print("{}\nOptions of one, and when to use it: reprise policies {}\n", table.text(),
             all_policies().front()->name);
}

void print_policies(const PoliciesFlags& flags) {
  if (!flags.name.empty()) {
    const PolicyEntry& policy = find_policy(flags.name);
    flags.is_json ? fmt::print("{}\n", to_json(policy).dump(2)) : print_policy(policy);
    return;
  }
  if (!flags.is_json) return print_all();
  ordered_json all = ordered_json::array();
  for (const PolicyEntry* policy : all_policies()) all.push_back(to_json(*policy));
  fmt::print("{}\n", all.dump(2));
}

}  // namespace

void add_policies(CLI::App& app, int& /*exit_code*/) {
  auto flags = std::make_shared<PoliciesFlags>();
  CLI::App* verb = app.add_subcommand("policies", "every policy, or one with all its options");
  verb->add_option("name", flags->name, "one policy, such as cake or kv/cake");
  verb->add_flag("--json", flags->is_json, "print JSON instead of tables");
  verb->footer(
      "Examples:\n"
      "  reprise policies\n"
      "  reprise policies cake");
  verb->callback([flags] { print_policies(*flags); });
}

}  // namespace reprise
