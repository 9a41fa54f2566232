#include "engines/text_model.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "core/chat_tokens.h"
#include "core/error.h"
#include "core/model_folders.h"
#include "core/resident_memory.h"
#include "nets/dllm_checkpoint.h"

namespace reprise {

namespace {

void check_is_text(const GgufFile& file) {
  if (file.string_or("general.architecture", "") == "dp") {
    throw Error(
        fmt::format("{}: is a robot policy and has no text; run it with 'reprise control {}'",
                    file.path(), file.path()));
  }
}

void check_kind(const GgufFile& file, const DecoderHparams& hp, TextKind kind) {
  if (kind == TextKind::kCausal && hp.is_masked) {
    throw Error(fmt::format(
        "{}: is a diffusion language model ({}); 'reprise run', 'eval dllm' and 'bench dllm' take "
        "it, this does not",
        file.path(), hp.arch));
  }
  if (kind == TextKind::kMasked && !hp.is_masked) {
    throw Error(fmt::format(
        "{}: is no diffusion language model, the attention of '{}' is causal; take a llada or "
        "dream model, such as dllm-demo",
        file.path(), hp.arch));
  }
}

}  // namespace

std::shared_ptr<const TextModel> TextModel::load(const std::string& name, const WeightPlace& place,
                                                 TextKind kind, const PromptPlace& prompts) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const std::string path = find_model(name);
  std::error_code error;
  auto file = std::make_shared<const GgufFile>(std::filesystem::is_directory(path, error)
                                                   ? dllm_checkpoint_as_gguf(path)
                                                   : GgufFile::open(path));
  check_is_text(*file);
  auto decoder = DecoderModel::load(file, place);
  check_kind(*file, decoder->hparams(), kind);
  PromptCopies copies{std::move(decoder), {}};
  if (prompts.form != PromptForm::kFile) {
    copies = with_prompt_copies(std::move(copies.model), prompts.form, *prompts.backend,
                                available_memory());
  }
  const Clock::time_point mapped = Clock::now();
  Tokenizer tokenizer = Tokenizer::load(*file);
  const Clock::time_point end = Clock::now();
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  return std::make_shared<const TextModel>(
      TextModel{std::move(file), std::move(copies.model), std::move(tokenizer),
                std::move(copies.report), seconds(mapped - start), seconds(end - mapped)});
}

ChatTemplate chat_template_of(const TextModel& model, const std::string& choice) {
  SpecialTexts special = special_texts(*model.file, model.tokenizer);
  return choice.empty() ? ChatTemplate::from_model(*model.file, std::move(special))
                        : ChatTemplate::from_name_or_file(choice, std::move(special));
}

}  // namespace reprise
