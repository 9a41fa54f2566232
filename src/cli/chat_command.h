#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reprise {

// What a line inside `reprise chat` asks for besides an answer.
struct ChatCommand {
  enum class Kind : uint8_t { kHelp, kClear, kSave, kLoad, kLedger, kHistory, kQuit };
  Kind kind = Kind::kHelp;
  std::string file;  // of kSave and kLoad
};

// The command of a line that begins with '/' and a word of letters; nothing when it is a message,
// such as "/usr/bin is full". Throws Error with the nearest command when the word is unknown, and
// when a file is missing or not expected.
std::optional<ChatCommand> parse_chat_command(std::string_view line);

// One line for each command; ends with a newline.
std::string chat_help();

}  // namespace reprise
