#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/chat_template.h"
#include "core/gguf_file.h"
#include "core/tokenizer.h"
#include "nets/decoder_model.h"
#include "nets/prompt_copies.h"

namespace reprise {

// Which engine a language model belongs to.
enum class TextKind : uint8_t {
  kCausal,  // writes from left to right: engines/generate
  kMasked,  // fills masked positions: engines/infill
  kAny,
};

// What its prompts are multiplied with.
struct PromptPlace {
  PromptForm form = PromptForm::kFile;
  const Backend* backend = nullptr;  // makes the copies; may be null for kFile alone
};

// A language model as its file gives it: weights, vocabulary, chat template. Immutable; shared
// between sequences.
struct TextModel {
  std::shared_ptr<const GgufFile> file;
  std::shared_ptr<const DecoderModel> decoder;
  Tokenizer tokenizer;
  PromptCopyReport prompt_copies;
  double weights_s = 0;  // seconds to check the tensors, to map or copy them, and for prompt_copies
  double vocabulary_s = 0;  // seconds for the vocabulary

  // From a path or a name (find_model): a GGUF file, or the checkpoint folder of a diffusion model.
  // Throws Error, also for a model of the other kind.
  static std::shared_ptr<const TextModel> load(
      const std::string& name, const WeightPlace& place = {nullptr, WeightPlace::Host::kAuto},
      TextKind kind = TextKind::kCausal, const PromptPlace& prompts = {});
};

// The template of --chat-template (a name or a file), or the model's own when `choice` is empty.
// Throws Error.
ChatTemplate chat_template_of(const TextModel& model, const std::string& choice);

}  // namespace reprise
