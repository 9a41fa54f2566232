#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "cli/canvas_frame.h"
#include "engines/infill/infill_sequence.h"
#include "engines/text_model.h"

namespace reprise {

// Shows on standard error how the canvas of a text fills in: on a terminal one picture that is
// redrawn after each pass, of which the last line stays; elsewhere one frame a pass as plain text.
class CanvasWatch {
 public:
  // Positions [first, end) of the canvas are shown. `delimiter`: what the span policy looks for.
  CanvasWatch(const TextModel& model, int32_t end_token, Gap shown, std::string_view delimiter);
  // After a pass of the text.
  void show(const InfillSequence& text);
  // Takes the picture away but for its last line.
  void finish();

 private:
  CanvasFrame frame(const InfillSequence& text) const;
  void clear();

  const TextModel& model_;
  int32_t end_token_;
  Gap shown_;
  std::string_view delimiter_;
  bool is_terminal_;
  bool is_colored_;
  std::string status_;
  int32_t n_drawn_ = 0;  // lines of the picture on the terminal
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace reprise
