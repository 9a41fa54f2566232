#include "cli/canvas_watch.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>

namespace reprise {
namespace {

using Cell = CanvasFrame::Cell;

constexpr FrameSize kPipeSize{80, std::numeric_limits<int32_t>::max()};  // nothing is cut

bool is_color_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  return no_color == nullptr || *no_color == '\0';
}

// Of the terminal as it is now: it may be resized while we draw.
FrameSize terminal_size() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {80, 24};
  }
  return {size.ws_col, size.ws_row - 1};  // the cursor stands in a line of its own
}

}  // namespace

CanvasWatch::CanvasWatch(const TextModel& model, int32_t end_token, Gap shown,
                         std::string_view delimiter)
    : model_(model),
      end_token_(end_token),
      shown_(shown),
      delimiter_(delimiter),
      is_terminal_(isatty(STDERR_FILENO) == 1),
      is_colored_(is_terminal_ && is_color_wanted()) {}

CanvasFrame CanvasWatch::frame(const InfillSequence& text) const {
  const Canvas& canvas = text.canvas();
  const InfillReport& report = text.report();
  const InfillStep& step = report.steps.back();
  const InfillSpan& span = report.spans.back();
  CanvasFrame out;
  out.cells.resize(shown_.n);
  const int32_t mask = model_.decoder->hparams().mask_token;
  for (int32_t i = 0; i < shown_.n; ++i) {
    const int32_t id = canvas.ids[shown_.first + i];
    if (id == mask) continue;
    const bool is_end = canvas.is_answer && id == end_token_;
    out.cells[i] = {is_end ? Cell::Kind::kEnd : Cell::Kind::kGiven, model_.tokenizer.piece(id)};
  }
  for (const Gap& gap : canvas.gaps) {
    out.n_to_fill += gap.n;
    for (int32_t p = gap.first; p < gap.end(); ++p) {
      Cell& cell = out.cells[p - shown_.first];
      if (canvas.ids[p] != mask) ++out.n_filled;
      if (cell.kind == Cell::Kind::kGiven) cell.kind = Cell::Kind::kFilled;
    }
  }
  for (const Commit& commit : step.commits) {
    Cell& cell = out.cells[commit.position - shown_.first];
    if (cell.kind == Cell::Kind::kFilled) cell.kind = Cell::Kind::kNew;
  }
  out.span_first = span.first - shown_.first;
  out.span_n = span.plan.n;
  out.n_passes = static_cast<int32_t>(report.steps.size());
  out.n_rows = step.rows.n();
  out.n_canvas = canvas.n();
  out.n_spans = static_cast<int32_t>(report.spans.size());
  out.reason = span.plan.reason;
  out.delimiter = delimiter_;
  out.elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  return out;
}

void CanvasWatch::show(const InfillSequence& text) {
  const CanvasFrame now = frame(text);
  status_ = frame_status(now);
  std::string out;
  if (is_terminal_) {
    FrameSize size = terminal_size();
    const std::vector<std::string> below = wrapped_status(status_, size.width);
    size.n_lines -= static_cast<int32_t>(below.size());
    std::vector<std::string> lines = frame_lines(now, size, is_colored_);
    lines.insert(lines.end(), below.begin(), below.end());
    clear();
    n_drawn_ = static_cast<int32_t>(lines.size());
    for (const std::string& line : lines) out += line + "\n";
  } else {
    for (const std::string& line : frame_lines(now, kPipeSize, false)) out += line + "\n";
    out += status_ + "\n\n";  // an empty line between frames
  }
  fmt::print(stderr, "{}", out);
  std::fflush(stderr);
}

void CanvasWatch::clear() {
  if (n_drawn_ == 0) return;
  fmt::print(stderr, "\x1b[{}A\r\x1b[J", n_drawn_);
  n_drawn_ = 0;
}

void CanvasWatch::finish() {
  if (n_drawn_ == 0) return;
  clear();
  fmt::print(stderr, "{}\n", status_);
}

}  // namespace reprise
