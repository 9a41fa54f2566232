#pragma once

#include <string>

namespace reprise {

struct ChatMessage {
  std::string role;     // system, user, assistant, tool, ...: a lower-case word
  std::string content;  // UTF-8
};

}  // namespace reprise
