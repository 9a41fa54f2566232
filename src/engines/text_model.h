#pragma once

#include <memory>
#include <string>

#include "core/chat_template.h"
#include "core/gguf_file.h"
#include "core/tokenizer.h"
#include "nets/decoder_model.h"

namespace reprise {

// A language model as its file gives it: weights, vocabulary, chat template. Immutable; shared
// between sequences.
struct TextModel {
  std::shared_ptr<const GgufFile> file;
  std::shared_ptr<const DecoderModel> decoder;
  Tokenizer tokenizer;
  double weights_s = 0;     // seconds to check the tensors, and to map or copy them
  double vocabulary_s = 0;  // seconds for the vocabulary

  // From a path or a name (find_model). Throws Error.
  static std::shared_ptr<const TextModel> load(const std::string& name,
                                               const WeightPlace& place = {
                                                   nullptr, WeightPlace::Host::kAuto});
};

// The template of --chat-template (a name or a file), or the model's own when `choice` is empty.
// Throws Error.
ChatTemplate chat_template_of(const TextModel& model, const std::string& choice);

}  // namespace reprise
