#pragma once

#include <cstddef>

#include "jinja/lexer.h"
#include "jinja/runtime.h"

namespace reprise {

// Keeps templates within chat_template_limits.h. Only chat_template.cc includes this header: it
// shows the engine's types.

// Refuses templates beyond the limits and adds the guards' calls. Throws std::runtime_error
// in the form of the engine's own lexer.
void guard_tokens(jinja::lexer_result& lexed);

// What one rendering may still do; outlives the context it is installed in.
class RenderGuard {
 public:
  explicit RenderGuard(size_t n_messages);
  RenderGuard(const RenderGuard&) = delete;
  RenderGuard& operator=(const RenderGuard&) = delete;
  // Gives `context` the function that guard_tokens() calls, and our range() and strftime_now(): the
  // engine's have no bound and are not thread-safe.
  void install(jinja::context& context);

 private:
  void step();  // throws std::runtime_error when a limit is reached

  size_t n_steps_;
  size_t steps_left_;
  const void* stack_base_;
};

}  // namespace reprise
