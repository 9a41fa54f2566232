#include "engines/generate/text_model.h"

#include <chrono>

#include "core/chat_tokens.h"
#include "core/model_folders.h"

namespace reprise {

std::shared_ptr<const TextModel> TextModel::load(const std::string& name,
                                                 const WeightPlace& place) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  auto file = std::make_shared<const GgufFile>(GgufFile::open(find_model(name)));
  auto decoder = DecoderModel::load(file, place);
  const Clock::time_point mapped = Clock::now();
  Tokenizer tokenizer = Tokenizer::load(*file);
  const Clock::time_point end = Clock::now();
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  return std::make_shared<const TextModel>(TextModel{std::move(file), std::move(decoder),
                                                     std::move(tokenizer), seconds(mapped - start),
                                                     seconds(end - mapped)});
}

ChatTemplate chat_template_of(const TextModel& model, const std::string& choice) {
  SpecialTexts special = special_texts(*model.file, model.tokenizer);
  return choice.empty() ? ChatTemplate::from_model(*model.file, std::move(special))
                        : ChatTemplate::from_name_or_file(choice, std::move(special));
}

}  // namespace reprise
