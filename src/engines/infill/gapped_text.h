#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engines/infill/canvas.h"
#include "engines/text_model.h"

namespace reprise {

// A text with gaps as people write it: `{{8}}` stands for eight positions to fill.
struct GappedText {
  // Text, or a gap of `n` positions.
  struct Part {
    std::string text;
    int32_t n = 0;
    bool operator==(const Part&) const = default;
  };
  std::vector<Part> parts;

  // `\{{8}}` is the text `{{8}}`: of the backslashes in front of a gap's braces two stand for one,
  // and an odd one takes the gap away. Other braces and backslashes are text. `mask_text`, the
  // model's own mask as text, is a gap of one position. Throws Error when there is no gap, when one
  // has no position, or when all together have more than n_most.
  static GappedText parse(std::string_view text, std::string_view mask_text, int32_t n_most);
};

// A canvas and the text that its positions are printed as.
class CanvasText {
 public:
  // The gaps of `text`, with n_tail end tokens behind it. Throws Error.
  static CanvasText with_gaps(const TextModel& model, const GappedText& text, int32_t n_tail,
                              int32_t end_token);
  // An answer of n_answer positions; its prompt is not printed.
  static CanvasText answer(const TextModel& model, std::span<const int32_t> prompt,
                           int32_t n_answer, int32_t n_tail, int32_t end_token);

  const Canvas& canvas() const { return canvas_; }
  // Positions that text() is of: the answer, or a text with gaps without its tail.
  Gap printed() const { return printed_; }
  // What is printed when the canvas holds `ids`, in whole characters: an answer up to its end
  // token or to its first masked position; a text with gaps up to the first masked position, or
  // with `is_over` all of it, `{{3}}` standing for three positions that stayed masked.
  std::string text(std::span<const int32_t> ids, bool is_over) const;

 private:
  struct Part {
    std::string text;  // printed in front of the gap
    Gap gap;
  };
  explicit CanvasText(const TextModel& model, int32_t end_token)
      : model_(model), end_token_(end_token) {}

  const TextModel& model_;
  int32_t end_token_;
  Canvas canvas_;
  Gap printed_;
  std::vector<Part> parts_;
};

}  // namespace reprise
