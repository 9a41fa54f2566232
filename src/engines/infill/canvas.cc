#include "engines/infill/canvas.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace reprise {

Canvas Canvas::answer(std::span<const int32_t> prompt, int32_t n_answer, int32_t n_tail,
                      int32_t mask, int32_t end) {
  const auto masked = std::ranges::find(prompt, mask);
  if (masked != prompt.end()) {
    throw Error(fmt::format(
        "token {} of the prompt is the model's mask, which stands for what is to be filled; take "
        "it out, or fill gaps of a text with --infill",
        masked - prompt.begin() + 1));
  }
  Canvas canvas;
  canvas.ids.assign(prompt.begin(), prompt.end());
  canvas.gaps = {{canvas.n(), n_answer}};
  canvas.ids.insert(canvas.ids.end(), n_answer, mask);
  canvas.ids.insert(canvas.ids.end(), n_tail, end);
  canvas.is_answer = true;
  return canvas;
}

Canvas Canvas::with_gaps(std::vector<int32_t> ids, int32_t mask) {
  Canvas canvas;
  canvas.ids = std::move(ids);
  for (int32_t p = 0; p < canvas.n(); ++p) {
    if (canvas.ids[p] != mask) continue;
    if (canvas.gaps.empty() || canvas.gaps.back().end() < p) canvas.gaps.push_back({p, 0});
    ++canvas.gaps.back().n;
  }
  if (canvas.gaps.empty()) throw Error("the text has no gap to fill");
  return canvas;
}

}  // namespace reprise
