#pragma once

#include <string_view>
#include <vector>

namespace reprise {

// A chat format that `--chat-template NAME` knows, as Jinja text of our own after the format that
// the model's makers document.
struct NamedChatTemplate {
  std::string_view name;
  std::string_view source;
};

// All of them, in alphabetical order.
const std::vector<NamedChatTemplate>& named_chat_templates();

// The known name with the fewest edits (insert, remove, replace) from `name`.
std::string_view nearest_chat_template(std::string_view name);

}  // namespace reprise
