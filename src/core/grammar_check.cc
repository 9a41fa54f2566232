#include "core/grammar_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/grammar_rules.h"
#include "core/utf8.h"

namespace reprise {
namespace {

// Visits of rules by libllama's search for left recursion, which forgets what it has seen: about a
// quarter of a second.
constexpr double kMaxVisits = 1e7;

using Rules = std::vector<GrammarRule>;

bool is_empty_item(const GrammarItem& item, const std::vector<bool>& may_be_empty) {
  return item.least == 0 || (item.rule >= 0 && may_be_empty[item.rule]);
}

std::vector<bool> find_empty_rules(const Rules& rules) {
  std::vector<bool> may_be_empty(rules.size(), false);
  bool is_changed = true;
  while (is_changed) {
    is_changed = false;
    for (size_t i = 0; i < rules.size(); ++i) {
      if (may_be_empty[i]) continue;
      for (const auto& items : rules[i].alternates) {
        if (std::all_of(items.begin(), items.end(), [&](const GrammarItem& item) {
              return is_empty_item(item, may_be_empty);
            })) {
          may_be_empty[i] = is_changed = true;
        }
      }
    }
  }
  return may_be_empty;
}

// Calls visit for each item that a text of the rule may begin with.
template <typename Visit>
void for_each_first(const GrammarRule& rule, const std::vector<bool>& may_be_empty, Visit visit) {
  for (const auto& items : rule.alternates) {
    for (const GrammarItem& item : items) {
      if (item.rule >= 0 && item.most > 0) visit(item);
      if (!is_empty_item(item, may_be_empty)) break;
    }
  }
}

[[noreturn]] void refuse_left_recursion(std::string_view gbnf, const Rules& rules,
                                        const std::vector<bool>& may_be_empty,
                                        const std::vector<int32_t>& n_open) {
  // A rule that is left begins with another one that is left: walking on must end in the circle.
  const auto left = std::find_if(n_open.begin(), n_open.end(), [](int32_t n) { return n > 0; });
  auto rule = static_cast<int32_t>(left - n_open.begin());
  for (size_t i = 0; i < rules.size(); ++i) {
    int32_t next = rule;
    for_each_first(rules[rule], may_be_empty, [&](const GrammarItem& item) {
      if (n_open[item.rule] > 0) next = item.rule;
    });
    rule = next;
  }
  refuse_grammar(gbnf, rules[rule].at,
                 fmt::format("rule '{}' may begin with itself, which never ends; put the repeated "
                             "part behind the rest or use *",
                             rules[rule].name));
}

// Takes rules away whose first rules are all gone, counting the visits; what stays is recursive.
void check_first_rules(std::string_view gbnf, const Rules& rules,
                       const std::vector<bool>& may_be_empty) {
  std::vector<int32_t> n_open(rules.size(), 0);
  std::vector<std::vector<int32_t>> users(rules.size());
  for (size_t i = 0; i < rules.size(); ++i) {
    for_each_first(rules[i], may_be_empty, [&](const GrammarItem& item) {
      ++n_open[i];
      users[item.rule].push_back(static_cast<int32_t>(i));
    });
  }
  std::vector<int32_t> ready;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (n_open[i] == 0) ready.push_back(static_cast<int32_t>(i));
  }
  std::vector<double> n_visits(rules.size(), 0);
  double total = 0;
  for (size_t i_ready = 0; i_ready < ready.size(); ++i_ready) {
    const int32_t rule = ready[i_ready];
    double n = 1;
    for_each_first(rules[rule], may_be_empty, [&](const GrammarItem& item) {
      n += n_visits[item.rule] + (item.least == 0 ? 1 : 0);
    });
    n_visits[rule] = n;
    total += n;
    for (const int32_t user : users[rule]) {
      if (--n_open[user] == 0) ready.push_back(user);
    }
  }
  if (ready.size() < rules.size()) refuse_left_recursion(gbnf, rules, may_be_empty, n_open);
  // The rules that libllama makes of repetitions are searched as well.
  for (const GrammarRule& rule : rules) {
    for (const auto& items : rule.alternates) {
      for (const GrammarItem& item : items) {
        if (item.rule < 0) continue;
        const bool is_unlimited = item.most == GrammarItem::kUnlimited;
        const uint64_t n_optional = is_unlimited ? 1 : item.most - item.least;
        total += static_cast<double>(n_optional) * (1 + n_visits[item.rule]);
      }
    }
  }
  if (total > kMaxVisits) {
    throw Error(
        fmt::format("--grammar: its rules begin with one another in {:.1g} ways, at most "
                    "{:.1g} are searched; let fewer rules be empty",
                    total, kMaxVisits));
  }
}

}  // namespace

void check_grammar(std::string_view gbnf) {
  if (gbnf.size() > kMaxGrammarBytes) {
    throw Error(fmt::format("--grammar: {} bytes, at most {} are read; shorten the grammar",
                            gbnf.size(), kMaxGrammarBytes));
  }
  check_utf8(gbnf, "--grammar");
  const size_t zero = gbnf.find('\0');
  if (zero != std::string_view::npos) refuse_grammar(gbnf, zero, "a zero byte; write \\x00");
  const Rules rules = parse_grammar(gbnf);
  for (const GrammarRule& rule : rules) {
    if (!rule.is_defined) {
      refuse_grammar(
          gbnf, rule.at,
          fmt::format("rule '{}' is not defined; add '{} ::= ...'", rule.name, rule.name));
    }
  }
  if (std::none_of(rules.begin(), rules.end(),
                   [](const GrammarRule& rule) { return rule.name == "root"; })) {
    throw Error("--grammar: there is no rule 'root', with which a text begins; add 'root ::= ...'");
  }
  const std::vector<bool> may_be_empty = find_empty_rules(rules);
  for (const GrammarRule& rule : rules) {
    for (const auto& items : rule.alternates) {
      for (const GrammarItem& item : items) {
        if (item.rule >= 0 && item.most > 1 && may_be_empty[item.rule]) {
          refuse_grammar(gbnf, item.at,
                         "a repetition of what may be empty; let the repeated part be at least one "
                         "character and the whole optional");
        }
      }
    }
  }
  check_first_rules(gbnf, rules, may_be_empty);
}

}  // namespace reprise
