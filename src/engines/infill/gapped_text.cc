#include "engines/infill/gapped_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace reprise {
namespace {

constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";

// The length of "{{DIGITS}}" at the start of `text`; 0 when it does not begin so.
size_t gap_length(std::string_view text) {
  if (!text.starts_with(kOpen)) return 0;
  const size_t last = text.find_first_not_of("0123456789", kOpen.size());
  if (last == kOpen.size() || last == std::string_view::npos) return 0;
  return text.substr(last).starts_with(kClose) ? last + kClose.size() : 0;
}

// Positions of the gap `mark`. Throws Error unless it has 1 to n_most.
int32_t gap_positions(std::string_view mark, size_t at, int32_t n_most) {
  const std::string_view digits =
      mark.substr(kOpen.size(), mark.size() - kOpen.size() - kClose.size());
  int32_t n = 0;
  const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (error != std::errc() || n > n_most) {
    throw Error(fmt::format("the gap {} at byte {} is longer than the context of {} tokens", mark,
                            at, n_most));
  }
  if (n == 0) {
    throw Error(
        fmt::format("the gap {} at byte {} has no position; a gap has at least one", mark, at));
  }
  return n;
}

}  // namespace

GappedText GappedText::parse(std::string_view text, std::string_view mask_text, int32_t n_most) {
  GappedText out;
  std::string plain;
  int64_t n_all = 0;
  const auto add_gap = [&](int32_t n) {
    if (!plain.empty()) out.parts.push_back({std::exchange(plain, {}), 0});
    out.parts.push_back({"", n});
    n_all += n;
  };
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const size_t n_slashes = std::min(rest.find_first_not_of('\\'), rest.size());
    if (const size_t length = gap_length(rest.substr(n_slashes)); length > 0) {
      const std::string_view mark = rest.substr(n_slashes, length);
      plain.append(n_slashes / 2, '\\');
      at += n_slashes + length;
      if (n_slashes % 2 == 1) {
        plain += mark;
      } else {
        add_gap(gap_positions(mark, at - length, n_most));
      }
    } else if (n_slashes > 0) {
      plain.append(n_slashes, '\\');
      at += n_slashes;
    } else if (!mask_text.empty() && rest.starts_with(mask_text)) {
      add_gap(1);
      at += mask_text.size();
    } else {
      plain += text[at++];
    }
  }
  if (!plain.empty()) out.parts.push_back({plain, 0});
  if (n_all == 0) {
    throw Error("the text has no gap to fill; write {{8}} where eight tokens are to be filled in");
  }
  if (n_all > n_most) {
    throw Error(
        fmt::format("the gaps have {} positions together, the context has {}", n_all, n_most));
  }
  return out;
}

CanvasText CanvasText::with_gaps(const TextModel& model, const GappedText& text, int32_t n_tail,
                                 int32_t end_token) {
  CanvasText out(model, end_token);
  const int32_t mask = model.decoder->hparams().mask_token;
  std::vector<int32_t> ids;
  std::string plain;
  bool is_first = true;
  for (const GappedText::Part& part : text.parts) {
    if (part.n == 0) {
      plain = part.text;
    }
    // The first part brings what the model wants at the start of a text, even when it is a gap.
    if (part.n == 0 || is_first) {
      const auto tokens = model.tokenizer.tokenize(part.text, is_first, true);
      ids.insert(ids.end(), tokens.begin(), tokens.end());
    }
    is_first = false;
    if (part.n == 0) continue;
    out.parts_.push_back({std::exchange(plain, {}), {static_cast<int32_t>(ids.size()), part.n}});
    ids.insert(ids.end(), part.n, mask);
  }
  const auto n = static_cast<int32_t>(ids.size());
  if (!plain.empty()) out.parts_.push_back({plain, {n, 0}});
  out.printed_ = {0, n};
  ids.insert(ids.end(), n_tail, end_token);
  out.canvas_ = Canvas::with_gaps(std::move(ids), mask);
  return out;
}

CanvasText CanvasText::answer(const TextModel& model, std::span<const int32_t> prompt,
                              int32_t n_answer, int32_t n_tail, int32_t end_token) {
  CanvasText out(model, end_token);
  out.canvas_ =
      Canvas::answer(prompt, n_answer, n_tail, model.decoder->hparams().mask_token, end_token);
  out.printed_ = out.canvas_.gaps.front();
  out.parts_ = {{"", out.printed_}};
  return out;
}

std::string CanvasText::text(std::span<const int32_t> ids, bool is_over) const {
  const int32_t mask = model_.decoder->hparams().mask_token;
  std::string out;
  for (const Part& part : parts_) {
    out += part.text;
    Utf8Stream characters;
    int32_t n_masked = 0;
    const auto end_mark = [&] {
      if (n_masked > 0) out += fmt::format("{{{{{}}}}}", std::exchange(n_masked, 0));
    };
    for (int32_t p = part.gap.first; p < part.gap.end(); ++p) {
      if (ids[p] == mask) {
        if (!is_over || canvas_.is_answer) return out;  // without a character that is begun only
        out += characters.finish();
        ++n_masked;
      } else {
        if (canvas_.is_answer && ids[p] == end_token_) break;
        end_mark();
        out += characters.push(model_.tokenizer.piece(ids[p]));
      }
    }
    out += characters.finish();
    end_mark();
  }
  return out;
}

}  // namespace reprise
