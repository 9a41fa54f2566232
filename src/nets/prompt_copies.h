#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "nets/decoder_model.h"

namespace reprise {

// Which matrices of its layers a decoder's prompts are multiplied with. Single tokens always read
// the file's, and so does the output head, which works on one token at a time.
enum class PromptForm : uint8_t {
  kFile,      // the file's
  kByType,    // Q8_0 for quantised types without integer panels of ours, otherwise the file's
  kF16,       // F16 for every quantised type: each weight is rounded once, by 2^-11 of it
  kQ8_0,      // Q8_0 for every other quantised type
  kRepacked,  // ggml's interleaved rows for the types and shapes that have them on this CPU
};

// What the words of --weights mean.
struct WeightWord {
  std::string_view word;
  WeightUse use;
  PromptForm form;
};
std::span<const WeightWord> weight_words();
// Throws Error for another word.
const WeightWord& weight_word(std::string_view word);

// The type that a matrix of this type is copied to; its own where it is not copied or only
// repacked.
ggml_type prompt_copy_type(PromptForm form, ggml_type type);

// What was copied, or why it was not.
struct PromptCopyReport {
  enum class Outcome : uint8_t {
    kNone,      // nothing had to be copied
    kMade,      // n_bytes of copies
    kNoMemory,  // n_bytes would have been needed, with n_free_bytes free
  };
  struct OfType {
    ggml_type from;
    ggml_type to;
    int64_t n_matrices = 0;
    int64_t n_bytes = 0;  // of the copies
  };
  Outcome outcome = Outcome::kNone;
  PromptForm form = PromptForm::kFile;
  std::vector<OfType> types;
  int64_t n_bytes = 0;
  int64_t n_free_bytes = 0;
  double seconds = 0;
};

struct PromptCopies {
  std::shared_ptr<const DecoderModel> model;
  PromptCopyReport report;
};

// The model with copies of its layers' matrices in that form, made on the backend's threads, which
// must be the CPU's; its other weights are shared with the model that was given, and it is that
// model where nothing was copied. Copies must fit into n_free_bytes; those that nobody asked for
// (kByType) four times, as with --mmap auto. A matrix with values beyond the type's range stays the
// file's.
PromptCopies with_prompt_copies(std::shared_ptr<const DecoderModel> model, PromptForm form,
                                const Backend& backend, int64_t n_free_bytes);

}  // namespace reprise
