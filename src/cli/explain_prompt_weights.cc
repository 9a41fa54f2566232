#include "cli/explain_prompt_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/prompt_matmul_node.h"
#include "core/quantities.h"
#include "core/repacked_weights.h"

namespace reprise {
namespace {

using Outcome = PromptCopyReport::Outcome;

constexpr int64_t kLongPromptTokens = 512;

// "q4_K by integer panels, q6_K copied to q8_0 by integer panels": the types of the layers'
// matrices.
std::string kernels_by_type(const TextModel& model, const ComputeFlags& flags) {
  std::vector<std::string> all;
  const DecoderModel& decoder = *model.decoder;
  for (int32_t il = 0; il < decoder.hparams().n_layer; ++il) {
    const DecoderLayer& file = decoder.layer(il, 1);
    const DecoderLayer& prompt = decoder.layer(il, kLongPromptTokens);
    for (ggml_tensor* DecoderLayer::*member : kLayerMatrices) {
      const ggml_tensor* w = prompt.*member;
      std::string text = ggml_type_name((file.*member)->type);
      if (is_repacked(w)) {
        text += " repacked";
      } else if (w != file.*member) {
        text += fmt::format(" copied to {}", ggml_type_name(w->type));
      }
      const PromptKernel kernel = prompt_kernel(flags.weight_use(), *w, kLongPromptTokens);
      text += fmt::format(" by {}", prompt_kernel_name(kernel));
      if (std::ranges::find(all, text) == all.end()) all.push_back(std::move(text));
    }
  }
  return fmt::format("{}", fmt::join(all, ", "));
}

}  // namespace

void explain_prompt_weights(const TextModel& model, const ComputeFlags& flags) {
  const PromptForm wanted = weight_word(flags.weights).form;
  if (flags.device != "cpu") {
    if (wanted != PromptForm::kFile && wanted != PromptForm::kByType)
      spdlog::info("--weights {}: no copies on --device {}", flags.weights, flags.device);
    return;
  }
  const PromptCopyReport& copies = model.prompt_copies;
  spdlog::info("--weights {}: prompts of {}; {}; loaded in {}", flags.weights,
               kernels_by_type(model, flags),
               copies.outcome == Outcome::kMade
                   ? fmt::format("{} of copies made in {}", format_bytes(copies.n_bytes),
                                 format_seconds(copies.seconds))
                   : "no copies",
               format_seconds(model.weights_s));
  if (copies.outcome == Outcome::kNoMemory) {
    spdlog::info(
        "--weights {}: copies need {}{} of memory, {} are free; the file's weights are used",
        flags.weights, copies.form == PromptForm::kByType ? "four times " : "",
        format_bytes(copies.n_bytes), format_bytes(copies.n_free_bytes));
  }
}

}  // namespace reprise
