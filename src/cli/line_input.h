#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace reprise {

enum class LineEvent : uint8_t { kLine, kInterrupted, kEnd };

// Reads what a user types, line by line: with editing and a history on a terminal (libedit), plain
// elsewhere. Ctrl-C at the prompt discards the line and clears the mark of cli/interrupt.h.
class LineInput {
 public:
  // `prompt` is shown on terminals alone. `history_path` keeps the lines of the last sessions;
  // empty: none. A history that cannot be read or written is no error.
  LineInput(std::string prompt, std::string history_path);
  ~LineInput();

  bool is_terminal() const { return editor_ != nullptr; }
  // kLine fills `line`, without its line break; kEnd is the end of the input, Ctrl-D. Throws Error
  // when standard input cannot be read.
  LineEvent read(std::string& line);

 private:
  class Editor;
  std::unique_ptr<Editor> editor_;  // null when the input or the output is no terminal
};

// $XDG_STATE_HOME/reprise/history, by default under ~/.local/state; empty without a home.
std::string history_path();

}  // namespace reprise
