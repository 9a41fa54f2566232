#include "core/grammar_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/grammar_check.h"

namespace reprise {
namespace {

// libllama writes each repetition out; a few bytes of text may ask for gigabytes.
constexpr uint64_t kMaxRules = 20000;
constexpr uint64_t kMaxElements = 1'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Newline { kEndsRule, kIsSpace };

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::vector<GrammarRule> parse() {
    skip_space(Newline::kIsSpace);
    while (!at_end()) parse_rule();
    return std::move(rules_);
  }

 private:
  // What one item costs when it is repeated.
  struct Size {
    uint64_t n_elements = 1;  // of libllama's rule, that each repetition copies
    uint64_t n_rules = 1;     // libllama's measure for its own limit
  };

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  [[noreturn]] void refuse(size_t at, std::string_view what) const {
    refuse_grammar(text_, at, what);
  }

  void skip_space(Newline newline) {
    while (!at_end()) {
      const char c = peek();
      if (c == '#') {
        while (!at_end() && peek() != '\n' && peek() != '\r') ++at_;
      } else if (c == ' ' || c == '\t' ||
                 (newline == Newline::kIsSpace && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string parse_name() {
    const size_t start = at_;
    while (is_word(peek())) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }

  int32_t add_rule(std::string name, size_t at) {
    grow(0, 1);
    rules_.push_back({std::move(name), at, false, {}});
    return static_cast<int32_t>(rules_.size() - 1);
  }

  int32_t named_rule(const std::string& name, size_t at) {
    const auto known = by_name_.find(name);
    if (known != by_name_.end()) return known->second;
    const int32_t rule = add_rule(name, at);
    by_name_[name] = rule;
    return rule;
  }

  void grow(uint64_t n_elements, uint64_t n_rules) {
    n_elements_ += n_elements;
    n_rules_ += n_rules;
    if (n_elements_ > kMaxElements || n_rules_ > kMaxRules) {
      refuse(at_, fmt::format("the grammar grows beyond {} rules or {} elements when its "
                              "repetitions are written out; lower their numbers",
                              kMaxRules, kMaxElements));
    }
  }

  void parse_rule() {
    const size_t start = at_;
    const std::string name = parse_name();
    if (name.empty()) {
      refuse(at_,
             "expected the name of a rule (letters, digits and '-'); a rule that goes on over "
             "several lines needs parentheses or a '|' at the end of the line");
    }
    skip_space(Newline::kEndsRule);
    if (text_.substr(at_, 3) != "::=") refuse(at_, "expected '::=' after the rule's name");
    at_ += 3;
    skip_space(Newline::kIsSpace);
    const int32_t rule = named_rule(name, start);
    if (rules_[rule].is_defined) {
      refuse(start, fmt::format("rule '{}' is defined a second time; join both with '|'", name));
    }
    rules_[rule].is_defined = true;
    rules_[rule].at = start;
    parse_alternates(rule, Newline::kEndsRule);
    if (!at_end() && peek() != '\n' && peek() != '\r') {
      refuse(at_, peek() == ')' ? "a ')' without its '('"
                                : "expected a string, a [set], a rule, '(', '|' or a new line");
    }
    skip_space(Newline::kIsSpace);
  }

  void parse_alternates(int32_t rule, Newline newline) {
    parse_sequence(rule, newline);
    while (peek() == '|') {
      ++at_;
      skip_space(Newline::kIsSpace);
      parse_sequence(rule, newline);
    }
    grow(1, 0);
  }

  void parse_sequence(int32_t rule, Newline newline) {
    std::vector<GrammarItem> items;
    bool can_repeat = false;
    Size size;
    grow(1, 0);
    while (true) {
      const size_t start = at_;
      const char c = peek();
      if (c == '"') {
        size = {parse_string(), 1};
        can_repeat = size.n_elements > 0;
        if (can_repeat) items.push_back({-1, 1, 1, start});
      } else if (c == '[') {
        size = {parse_set(), 1};
        items.push_back({-1, 1, 1, start});
        can_repeat = true;
      } else if (c == '.') {
        ++at_;
        size = {1, 1};
        items.push_back({-1, 1, 1, start});
        can_repeat = true;
      } else if (is_word(c)) {
        size = {1, 1};
        const std::string name = parse_name();
        items.push_back({named_rule(name, start), 1, 1, start});
        can_repeat = true;
      } else if (c == '(') {
        const uint64_t n_before = n_rules_;
        items.push_back({parse_group(rule), 1, 1, start});
        size = {1, n_rules_ - n_before};
        can_repeat = true;
      } else if (c == '*' || c == '+' || c == '?' || c == '{') {
        if (!can_repeat) {
          refuse(at_,
                 "nothing to repeat before this; a repetition of a repetition needs "
                 "parentheses around the first");
        }
        parse_repetition(items.back(), size, newline);
        can_repeat = false;
      } else if (c == '<' || c == '!') {
        refuse(at_, "token elements (<...>) are not supported; write the text in quotes");
      } else {
        break;
      }
      if (can_repeat) grow(size.n_elements, 0);
      skip_space(newline);
    }
    rules_[rule].alternates.push_back(std::move(items));
  }

  int32_t parse_group(int32_t outer) {
    const size_t start = at_;
    if (++depth_ > kMaxGrammarDepth) {
      refuse(at_, fmt::format("parentheses are nested more than {} deep; give the inner ones a "
                              "rule of their own",
                              kMaxGrammarDepth));
    }
    ++at_;
    skip_space(Newline::kIsSpace);
    const int32_t rule = add_rule(rules_[outer].name, start);
    rules_[rule].is_defined = true;
    parse_alternates(rule, Newline::kIsSpace);
    if (peek() != ')') {
      refuse(at_end() ? start : at_, at_end() ? "this '(' has no ')'" : "expected ')' or '|'");
    }
    ++at_;
    --depth_;
    return rule;
  }

  uint64_t parse_string() {
    const size_t start = at_++;
    uint64_t n_elements = 0;
    while (peek() != '"') {
      parse_char(start, "this string has no closing '\"'");
      ++n_elements;
    }
    ++at_;
    return n_elements;
  }

  uint64_t parse_set() {
    const size_t start = at_++;
    if (peek() == '^') ++at_;
    uint64_t n_elements = 0;
    constexpr std::string_view kOpen = "this character set has no closing ']'";
    while (peek() != ']') {
      const size_t low_at = at_;
      const uint32_t low = parse_char(start, kOpen);
      ++n_elements;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const uint32_t high = parse_char(start, kOpen);
        ++n_elements;
        if (high < low) refuse(low_at, "this range of characters runs backwards");
      }
    }
    if (n_elements == 0) refuse(start, "this character set is empty; '.' is any character");
    ++at_;
    return n_elements;
  }

  uint32_t parse_char(size_t start, std::string_view open) {
    if (at_end()) refuse(start, open);
    const size_t at = at_;
    const auto byte = static_cast<uint8_t>(text_[at_++]);
    if (byte == '\\') return parse_escape(at, start, open);
    if (byte < 0x80) return byte;
    const int n_more = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;  // the text is UTF-8
    uint32_t value = byte & (0x3F >> n_more);
    for (int i = 0; i < n_more; ++i) value = (value << 6) | (text_[at_++] & 0x3F);
    return value;
  }

  uint32_t parse_escape(size_t at, size_t start, std::string_view open) {
    if (at_end()) refuse(start, open);
    const char kind = text_[at_++];
    const int n_digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    uint32_t value = 0;
    for (int i = 0; i < n_digits; ++i, ++at_) {
      const int digit = hex_value(peek());
      if (digit < 0) refuse(at, fmt::format("\\{} needs {} hexadecimal digits", kind, n_digits));
      value = (value << 4) | static_cast<uint32_t>(digit);
    }
    if (n_digits > 0) return value;
    if (kind == 't') return '\t';
    if (kind == 'r') return '\r';
    if (kind == 'n') return '\n';
    if (std::string_view("\\\"[]-").find(kind) != std::string_view::npos) return kind;
    refuse(at, "unknown escape; known are \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\] \\-");
  }

  uint64_t parse_count() {
    const size_t start = at_;
    uint64_t value = 0;
    while (is_digit(peek())) {
      value = std::min<uint64_t>(10 * value + (text_[at_++] - '0'), 1'000'000);
    }
    if (at_ == start) refuse(at_, "expected a number of repetitions, as in {2} {2,} or {2,5}");
    if (value > kMaxGrammarRepetition) {
      refuse(start, fmt::format("more than {} repetitions; lower the number, or use * for any "
                                "number",
                                kMaxGrammarRepetition));
    }
    return value;
  }

  void parse_repetition(GrammarItem& item, const Size& size, Newline newline) {
    const size_t start = at_;
    const char kind = text_[at_++];
    item.least = kind == '+' ? 1 : 0;
    item.most = kind == '?' ? 1 : GrammarItem::kUnlimited;
    if (kind == '{') {
      skip_space(newline);
      item.least = item.most = parse_count();
      skip_space(newline);
      if (peek() == ',') {
        ++at_;
        skip_space(newline);
        item.most = is_digit(peek()) ? parse_count() : GrammarItem::kUnlimited;
        skip_space(newline);
      }
      if (peek() != '}') refuse(at_, "expected '}' after the number of repetitions");
      ++at_;
      if (item.most < item.least) refuse(start, "the second number is smaller than the first");
    }
    const bool is_unlimited = item.most == GrammarItem::kUnlimited;
    const uint64_t n_times = std::max<uint64_t>(1, is_unlimited ? item.least : item.most);
    if (size.n_rules * n_times > kMaxGrammarRepetition) {
      refuse(start, fmt::format("{} repetitions of a group with {} rules and groups inside exceed "
                                "{}; lower the number or give the group a rule of its own",
                                n_times, size.n_rules, kMaxGrammarRepetition));
    }
    const uint64_t n_optional = is_unlimited ? 1 : item.most - item.least;
    grow(item.least * size.n_elements + n_optional * (size.n_elements + 3), n_optional);
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::vector<GrammarRule> rules_;
  std::map<std::string, int32_t> by_name_;
  uint64_t n_elements_ = 0;
  uint64_t n_rules_ = 0;  // libllama's: ours and those that repetitions make
};

}  // namespace

void refuse_grammar(std::string_view gbnf, size_t at, std::string_view what) {
  const std::string_view before = gbnf.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto column = 1 + std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start),
                                        before.end(), [](char c) { return (c & 0xC0) != 0x80; });
  throw Error(fmt::format("--grammar: line {}, column {}: {}", line, column, what));
}

std::vector<GrammarRule> parse_grammar(std::string_view gbnf) { return Parser(gbnf).parse(); }

}  // namespace reprise
