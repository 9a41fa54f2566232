#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engines/infill/infill_sequence.h"
#include "engines/text_model.h"

namespace reprise {

struct InfillResult {
  Canvas canvas;
  std::vector<int32_t> answer;  // of an answer: its tokens in front of the end token
  InfillReport report;
};

// What is told while texts are filled; any may be empty.
struct InfillEvents {
  // After every pass of a text, and whether a span of it has ended with the pass.
  std::function<void(size_t i_text, const InfillSequence& text, bool has_span_ended)> on_step = {};
  // Asked before every pass; true leaves the texts as they are.
  std::function<bool()> is_cancelled = {};
};

// Fills the gaps of texts with a masked diffusion model: several texts share a pass, each at its
// own span and with its own rows.
class Infiller {
 public:
  static constexpr int32_t kMaxBatch = 128;

  // `delimiters` as delimiters_of() gives them. Throws Error.
  Infiller(std::shared_ptr<const DecoderModel> model, const Backend& backend, int32_t end_token,
           InfillOptions options, std::optional<TokenSet> delimiters);

  const InfillOptions& options() const { return options_; }
  // Fills all texts, n_batch of them at a time (1..kMaxBatch); text i draws with seed
  // options().seed + i. Where the span policy needs an earlier run, it goes first and counts in no
  // report. Throws Error.
  std::vector<InfillResult> fill(std::vector<Canvas> texts, int32_t n_batch,
                                 const InfillEvents& events = {});
  // Seconds in passes and in all of fill(), and passes, of the calls so far.
  double pass_s() const { return pass_s_; }
  double total_s() const { return total_s_; }
  int64_t n_passes() const { return n_passes_; }
  int64_t peak_cache_bytes() const { return peak_cache_bytes_; }

 private:
  using Lengths = std::vector<std::vector<int32_t>>;  // of spans, one list a gap
  std::vector<Lengths> earlier_lengths(const std::vector<Canvas>& texts, int32_t n_batch,
                                       const InfillEvents& events) const;

  InfillPass pass_;
  int32_t end_token_;
  InfillOptions options_;
  std::optional<TokenSet> delimiters_;
  double pass_s_ = 0;
  double total_s_ = 0;
  int64_t n_passes_ = 0;
  int64_t peak_cache_bytes_ = 0;
};

// The delimiters that the span policy asks for; none when it needs none. Throws Error when the mask
// is one of them.
std::optional<TokenSet> delimiters_of(const SpanPolicy& policy, const TextModel& model);

// The token that ends an answer. Throws Error when the model names none.
int32_t end_token_of(const TextModel& model);

}  // namespace reprise
