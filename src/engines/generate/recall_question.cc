#include "engines/generate/recall_question.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/atomic_file.h"
#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/utf8.h"

namespace reprise {
namespace {

using nlohmann::json;
using Kind = RecallQuestion::Kind;

constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr int32_t kMaxFactsTokens = 32;

// One line of a question file, whose errors name file and line.
class QuestionLine {
 public:
  QuestionLine(const std::string& name, int64_t number, std::string_view line)
      : name_(name), number_(number) {
    // The parser's own messages go on about its internals, and a line may be long.
    object_ = json::parse(line, nullptr, false);
    if (object_.is_discarded()) refuse("no JSON; write one object a line");
    if (!object_.is_object()) refuse("no JSON object; write {\"document\": ...}");
  }

  RecallQuestion question() const {
    RecallQuestion out;
    out.document = text("document");
    out.question = text("question");
    out.answer = text("answer");
    out.kind = kind();
    const json& depth = value("depth");
    if (!depth.is_number()) refuse("'depth' is no number; give the place in the document, 0 to 1");
    out.depth = depth.get<double>();
    if (!(out.depth >= 0 && out.depth <= 1)) {
      refuse(fmt::format("'depth' is {}; give the place in the document, 0 to 1", out.depth));
    }
    return out;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(fmt::format("{}:{}: {}", name_, number_, what));
  }
  const json& value(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) {
      refuse(fmt::format("'{}' is missing; a question has document, question, answer, depth, kind",
                         key));
    }
    return *found;
  }
  std::string text(const char* key) const {
    const json& found = value(key);
    if (!found.is_string()) refuse(fmt::format("'{}' is no text", key));
    auto text = found.get<std::string>();
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
      refuse(fmt::format("'{}' is empty", key));
    }
    return text;
  }
  Kind kind() const {
    constexpr std::array<std::string_view, 2> kKnown = {"pairs", "facts"};
    const std::string name = text("kind");
    if (name == kKnown[0]) return Kind::kPairs;
    if (name == kKnown[1]) return Kind::kFacts;
    refuse(fmt::format("no kind '{}'{} 'pairs' and 'facts' are", name, did_you_mean(name, kKnown)));
  }

  const std::string& name_;
  int64_t number_;
  json object_;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Where the answer stands in the line, as a number of its own if it is one.
std::optional<size_t> find_answer(const std::string& line, const std::string& answer) {
  for (size_t at = line.find(answer); at != std::string::npos; at = line.find(answer, at + 1)) {
    const size_t end = at + answer.size();
    const bool begins_inside = at > 0 && is_digit(line[at - 1]) && is_digit(answer.front());
    const bool ends_inside = end < line.size() && is_digit(line[end]) && is_digit(answer.back());
    if (!begins_inside && !ends_inside) return at;
  }
  return std::nullopt;
}

RecallVerdict judge_pairs(const std::string& answer, std::string_view text, bool is_whole) {
  if (text.starts_with(answer)) return RecallVerdict::kRight;
  return is_whole || !answer.starts_with(text) ? RecallVerdict::kWrong : RecallVerdict::kOpen;
}

RecallVerdict judge_facts(const std::string& answer, std::string_view text, bool is_whole) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  const size_t newline = text.find('\n');
  const bool is_line_whole = is_whole || newline != std::string_view::npos;
  const std::string line = lower(text.substr(0, newline));
  const std::optional<size_t> at = find_answer(line, lower(answer));
  // At the end of what is there, a number may still grow.
  if (at && (is_line_whole || *at + answer.size() < line.size())) return RecallVerdict::kRight;
  return is_line_whole ? RecallVerdict::kWrong : RecallVerdict::kOpen;
}

}  // namespace

int32_t RecallQuestion::max_tokens() const {
  // No token of text has fewer than one byte.
  return kind == Kind::kPairs ? static_cast<int32_t>(answer.size()) : kMaxFactsTokens;
}

std::vector<RecallQuestion> parse_recall_questions(std::string_view text, const std::string& name) {
  check_utf8(text, name);
  std::vector<RecallQuestion> questions;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    questions.push_back(QuestionLine(name, number, line).question());
  }
  if (questions.empty()) throw Error(fmt::format("{}: no question in it", name));
  return questions;
}

std::vector<RecallQuestion> read_recall_questions(const std::string& path) {
  return parse_recall_questions(read_file(path, kMaxBytes), path);
}

RecallVerdict judge_recall(const RecallQuestion& question, std::string_view text, bool is_whole) {
  return question.kind == Kind::kPairs ? judge_pairs(question.answer, text, is_whole)
                                       : judge_facts(question.answer, text, is_whole);
}

}  // namespace reprise
