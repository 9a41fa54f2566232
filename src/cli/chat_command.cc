#include "cli/chat_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/did_you_mean.h"
#include "core/error.h"

namespace reprise {
namespace {

struct Entry {
  std::string_view word;
  ChatCommand::Kind kind;
  bool takes_file;
  std::string_view help;
};

constexpr Entry kEntries[] = {
    {"/help", ChatCommand::Kind::kHelp, false, "this list"},
    {"/clear", ChatCommand::Kind::kClear, false, "forget the conversation and begin anew"},
    {"/save", ChatCommand::Kind::kSave, true, "write the conversation with its cache"},
    {"/load", ChatCommand::Kind::kLoad, true, "go on with a saved conversation"},
    {"/ledger", ChatCommand::Kind::kLedger, false, "what the last answer computed, kept, dropped"},
    {"/history", ChatCommand::Kind::kHistory, false, "the conversation so far"},
    {"/quit", ChatCommand::Kind::kQuit, false, "leave; Ctrl-D does the same"},
};

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// As a shell reads a path: ~/ is the home.
std::string file_of(std::string_view text) {
  const char* home = std::getenv("HOME");
  if (text.starts_with("~/") && home != nullptr) return home + std::string(text.substr(1));
  return std::string(text);
}

}  // namespace

std::optional<ChatCommand> parse_chat_command(std::string_view line) {
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = trimmed(line.substr(0, end));
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (word.size() < 2 || word[0] != '/' || !std::ranges::all_of(word.substr(1), is_letter)) {
    return std::nullopt;
  }
  std::vector<std::string_view> known;
  for (const Entry& entry : kEntries) {
    known.push_back(entry.word);
    if (entry.word != word) continue;
    const std::string_view file = trimmed(line.substr(end));
    if (entry.takes_file && file.empty()) {
      throw Error(fmt::format("{}: name a file, {} FILE", word, word));
    }
    if (!entry.takes_file && !file.empty()) {
      throw Error(fmt::format("{}: takes nothing, so '{}' is too much", word, file));
    }
    return ChatCommand{entry.kind, file_of(file)};
  }
  throw Error(fmt::format("no command '{}'{} /help lists all; a space before it makes it a message",
                          word, did_you_mean(word, known)));
}

std::string chat_help() {
  std::string out;
  for (const Entry& entry : kEntries) {
    out +=
        fmt::format("  {:<12}  {}\n",
                    fmt::format("{}{}", entry.word, entry.takes_file ? " FILE" : ""), entry.help);
  }
  return out + "  Ctrl-C stops an answer; twice at the prompt, it leaves\n";
}

}  // namespace reprise
