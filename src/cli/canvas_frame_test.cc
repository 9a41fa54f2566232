#include "cli/canvas_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reprise {
namespace {

using Cell = CanvasFrame::Cell;
using Kind = Cell::Kind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// "abc" given, "DEF" filled, "+" new cells hold what stands behind, "_" masked, "$" end.
std::vector<Cell> cells(std::string_view picture) {
  std::vector<Cell> out;
  for (size_t i = 0; i < picture.size(); ++i) {
    const char c = picture[i];
    if (c == '_') {
      out.push_back({Kind::kMasked, ""});
    } else if (c == '$') {
      out.push_back({Kind::kEnd, ""});
    } else if (c == '+') {
      out.push_back({Kind::kNew, std::string(1, picture[++i])});
    } else {
      out.push_back({c >= 'a' && c <= 'z' ? Kind::kGiven : Kind::kFilled, std::string(1, c)});
    }
  }
  return out;
}

std::vector<std::string> text(const CanvasFrame& frame, FrameSize size = {}) {
  return frame_lines(frame, size, false);
}

TEST(CanvasFrame, MarksMasksTheSpanAndTheEnd) {
  CanvasFrame frame;
  frame.cells = cells("abA+B__C_$$_$");
  EXPECT_THAT(text(frame), ElementsAre("abAB░░C░∎░"));
  frame.span_first = 3;
  frame.span_n = 3;
  EXPECT_THAT(text(frame), ElementsAre("abA⟦B░░⟧C░∎░"));
  frame.span_n = 9;
  EXPECT_THAT(text(frame), ElementsAre("abA⟦B░░C░∎░⟧"));
  frame.cells = cells("abAB\nC");
  frame.cells[4].text = "x\n  ";
  frame.span_n = 2;  // ends with a line break
  EXPECT_THAT(text(frame), ElementsAre("abA⟦Bx⟧", "  C"));
}

TEST(CanvasFrame, WrapsAtTheWidthAndBreaksAtLineBreaks) {
  CanvasFrame frame;
  frame.cells = cells("ABCDEFG\nHI_____");
  EXPECT_THAT(text(frame, {4, 50}), ElementsAre("ABCD", "EFG", "HI░░", "░░░"));
  frame.cells = cells("ABCD\n\nE");  // a full line breaks once
  EXPECT_THAT(text(frame, {4, 50}), ElementsAre("ABCD", "", "E"));
  frame.cells = {{Kind::kFilled, "日本語"}};
  EXPECT_THAT(text(frame, {5, 50}), ElementsAre("日本", "語"));
  frame.cells = {{Kind::kFilled,
                  "e\xcc\x81"
                  "bcde"}};  // a combining accent has no column
  EXPECT_THAT(text(frame, {5, 50}), ElementsAre("e\xcc\x81"
                                                "bcde"));
}

TEST(CanvasFrame, JoinsCharactersOutOfTokens) {
  CanvasFrame frame;
  frame.cells = {{Kind::kFilled, "\xc3"}, {Kind::kNew, "\xa9"}};
  EXPECT_THAT(text(frame), ElementsAre("é"));
  frame.cells = {{Kind::kFilled, "a\xc3"}, {Kind::kMasked, ""}, {Kind::kFilled, "\xa9"}};
  EXPECT_THAT(text(frame), ElementsAre("a\xef\xbf\xbd░\xef\xbf\xbd"));
  frame.cells = {{Kind::kFilled, "\xc3"}};
  EXPECT_THAT(text(frame), ElementsAre("\xef\xbf\xbd"));
}

TEST(CanvasFrame, NoTextDrivesTheTerminal) {
  CanvasFrame frame;
  frame.cells = {{Kind::kFilled, "a\x1b[2J\rb\tc\xc2\x9b\xe2\x80\xae"}};
  EXPECT_THAT(text(frame), ElementsAre("a\xef\xbf\xbd[2J\xef\xbf\xbd"
                                       "b c\xef\xbf\xbd\xef\xbf\xbd"));
}

TEST(CanvasFrame, LongTextsAreCutToTheLinesAroundTheSpan) {
  CanvasFrame frame;
  for (char c = 'A'; c <= 'T'; ++c) frame.cells.push_back({Kind::kFilled, std::string(2, c)});
  frame.span_first = 10;
  frame.span_n = 1;
  const std::vector<std::string> lines = text(frame, {4, 3});
  EXPECT_EQ(lines.size(), 3);
  EXPECT_THAT(lines[1], HasSubstr("⟦K"));
  frame.span_first = 0;
  EXPECT_THAT(text(frame, {4, 3}), ElementsAre("⟦AA⟧", "BBCC", "DDEE"));
  frame.span_first = 19;
  EXPECT_THAT(text(frame, {4, 3}).back(), HasSubstr("T⟧"));
}

TEST(CanvasFrame, ColoursEndWithTheirLine) {
  CanvasFrame frame;
  frame.cells = cells("ab__+C+D");
  frame.span_first = 2;
  frame.span_n = 4;
  for (const std::string& line : frame_lines(frame, {3, 50}, true)) {
    const size_t last = line.rfind('\x1b');
    if (last != std::string::npos) {
      EXPECT_EQ(line.substr(last), "\x1b[0m") << line;
    }
  }
  EXPECT_THAT(frame_lines(frame, {80, 50}, true)[0],
              HasSubstr("\x1b[33m⟦░░\x1b[0m\x1b[1;32mCD\x1b[0m\x1b[33m⟧\x1b[0m"));
  for (const std::string& line : frame_lines(frame, {3, 50}, false))
    EXPECT_THAT(line, Not(HasSubstr("\x1b")));
}

TEST(CanvasFrame, TheLastLineSaysWhereThePassStands) {
  CanvasFrame frame;
  frame.n_passes = 12;
  frame.n_rows = 16;
  frame.n_canvas = 1384;
  frame.n_spans = 3;
  frame.span_n = 21;
  frame.n_filled = 57;
  frame.n_to_fill = 128;
  frame.elapsed_s = 4;
  const auto status = [&](SpanReason reason) {
    frame.reason = reason;
    return frame_status(frame);
  };
  EXPECT_EQ(status(SpanReason::kDelimiter),
            "pass 12 · 16 of 1,384 rows · span 3: 21 positions up to a line break · 57 of 128 "
            "filled · 4.0 s");
  EXPECT_THAT(status(SpanReason::kFixed), HasSubstr("span 3: 21 positions · 57"));
  EXPECT_THAT(status(SpanReason::kNoDelimiter), HasSubstr("21 positions, no line break ahead ·"));
  frame.delimiter = "delimiter";
  EXPECT_THAT(status(SpanReason::kLowConfidence), HasSubstr(", no delimiter is sure ·"));
  frame.span_n = 1;
  EXPECT_THAT(status(SpanReason::kFixed), HasSubstr("span 3: 1 position ·"));
}

TEST(CanvasFrame, TheStatusBreaksBetweenItsParts) {
  const std::string status = "pass 1 · 16 rows · span 3: 21 positions · 0.4 s";
  EXPECT_THAT(wrapped_status(status, 80), ElementsAre(status));
  EXPECT_THAT(wrapped_status(status, 21),
              ElementsAre("pass 1 · 16 rows", "span 3: 21 positions", "0.4 s"));
  EXPECT_THAT(wrapped_status(status, 16),
              ElementsAre("pass 1 · 16 rows", "span 3: 21 posit", "ions", "0.4 s"));
  EXPECT_THAT(wrapped_status("", 9), ElementsAre(""));
}

TEST(CanvasFrame, ATerminalOfNoSizeStillShowsSomething) {
  CanvasFrame frame;
  frame.cells = cells("A_B");
  EXPECT_EQ(frame_lines(frame, {0, 0}, true).size(), 1);
}

}  // namespace
}  // namespace reprise
