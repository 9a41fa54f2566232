#include "cli/usage_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "core/did_you_mean.h"
#include "core/nearest.h"

namespace reprise {
namespace {

// "reprise", "reprise run" or "reprise eval ppl": the deepest verb that was recognised.
const CLI::App* deepest(const CLI::App& app, std::string& name) {
  const CLI::App* at = &app;
  name = "reprise";
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    name += " " + at->get_name();
  }
  return at;
}

std::string nearest_verb(std::string_view word, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  return did_you_mean(word, views);
}

// Compared without the dashes, which would make any two flags look alike.
std::string nearest_flag(std::string_view word, const std::vector<std::string>& known) {
  std::vector<std::string_view> views;
  for (const std::string& flag : known) views.push_back(std::string_view(flag).substr(2));
  const std::string_view close = nearest(word.substr(2), views);
  return close.empty() ? ";" : fmt::format(", did you mean '--{}'?", close);
}

}  // namespace

std::string usage_error(const CLI::App& app, int argc, char** argv, const CLI::ParseError& error) {
  std::string name;
  const CLI::App* const verb = deepest(app, name);
  const std::string hint = fmt::format(" '{} --help' explains it", name);
  // The first word that nobody knows.
  std::vector<std::string> verbs;
  std::vector<std::string> flags;
  for (const CLI::App* sub : verb->get_subcommands([](const CLI::App*) { return true; })) {
    verbs.push_back(sub->get_name());
  }
  for (const CLI::App* level = verb; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& flag : option->get_lnames()) flags.push_back("--" + flag);
    }
  }
  std::vector<std::string> extras = app.remaining(true);
  if (extras.empty() && verb == &app && argc > 1) extras.emplace_back(argv[1]);
  // CLI11 lists a flag's value before the flag.
  std::stable_partition(extras.begin(), extras.end(),
                        [](const std::string& word) { return word.starts_with('-'); });
  for (const std::string& word : extras) {
    if (word.starts_with("--")) {
      const std::string flag = word.substr(0, word.find('='));
      if (std::ranges::find(flags, flag) == flags.end()) {
        return fmt::format("{}: no option '{}'{}{}", name, flag, nearest_flag(flag, flags), hint);
      }
    } else if (!verbs.empty()) {
      return fmt::format("{}: no verb '{}'{}{}", name, word, nearest_verb(word, verbs), hint);
    }
  }
  return fmt::format("{}: {};{}", name, error.what(), hint);
}

}  // namespace reprise
