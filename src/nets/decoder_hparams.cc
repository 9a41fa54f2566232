#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "core/error.h"
#include "core/printable.h"
#include "nets/decoder_model.h"

namespace reprise {
namespace {

constexpr int64_t kMaxContext = 1 << 30;
constexpr int64_t kMaxHeadLength = 1024;
constexpr int64_t kMaxMaskToken = (1 << 24) - 1;

// An integer of the metadata in [low, high]. Throws Error.
int32_t size_of(const GgufFile& file, const std::string& key, int64_t low, int64_t high) {
  const int64_t value = file.integer(key);
  if (value < low || value > high) {
    throw Error(fmt::format("{}: {} is {}, expected {} to {}; convert the model again", file.path(),
                            key, value, low, high));
  }
  return static_cast<int32_t>(value);
}

void read_rope(const GgufFile& file, DecoderHparams& hp) {
  const std::string rope = hp.arch + ".rope.";
  hp.n_rot = file.has(rope + "dimension_count")
                 ? size_of(file, rope + "dimension_count", 2, hp.n_embd_head)
                 : hp.n_embd_head;
  hp.rope_type =
      hp.arch == "llama" || hp.arch == "llada" ? GGML_ROPE_TYPE_NORMAL : GGML_ROPE_TYPE_NEOX;
  hp.rope_freq_base = static_cast<float>(file.real_or(rope + "freq_base", 10000));
  hp.rope_freq_base_swa = static_cast<float>(file.real_or(rope + "freq_base_swa", 10000));
  const std::string scaling = file.string_or(rope + "scaling.type", "linear");
  const double factor =
      file.real_or(rope + "scaling.factor", file.real_or(rope + "scale_linear", 0));
  const std::string original = rope + "scaling.original_context_length";
  hp.n_ctx_orig = file.has(original) ? size_of(file, original, 1, kMaxContext) : hp.n_ctx_train;
  hp.rope_attn_factor = static_cast<float>(file.real_or(rope + "scaling.attn_factor", 1));
  if (scaling == "linear" || scaling == "yarn") {
    hp.rope_freq_scale = factor > 0 ? static_cast<float>(1 / factor) : 1;
    hp.rope_ext_factor = scaling == "yarn" ? 1 : 0;
  } else if (scaling != "none") {
    throw Error(fmt::format(
        "{}: RoPE scaling '{}' is not built in; linear, yarn, none and frequency factors are",
        file.path(), printable(scaling)));
  }
  const bool finite = std::isfinite(hp.rope_freq_base) && std::isfinite(hp.rope_freq_base_swa) &&
                      std::isfinite(hp.rope_freq_scale) && std::isfinite(hp.rope_attn_factor);
  if (hp.n_rot % 2 != 0 || !finite || hp.rope_freq_base <= 0 || hp.rope_freq_base_swa <= 0) {
    throw Error(fmt::format("{}: the RoPE constants ({}*) are not usable; convert the model again",
                            file.path(), rope));
  }
}

void read_masking(const GgufFile& file, DecoderHparams& hp) {
  const std::string causal = hp.arch + ".attention.causal";
  if (!hp.is_masked) {
    if (file.boolean_or(causal, true)) return;
    throw Error(
        fmt::format("{}: is an embedding model, its attention is not causal; use it where "
                    "embeddings are asked for",
                    file.path()));
  }
  if (file.boolean_or(causal, false)) {
    throw Error(fmt::format(
        "{}: {} is true, but a masked diffusion model sees the whole text; convert the model again",
        file.path(), causal));
  }
  hp.mask_token = size_of(file, "tokenizer.ggml.mask_token_id", 0, kMaxMaskToken);
  hp.shifts_logits = file.boolean_or("diffusion.shift_logits", hp.arch == "dream");
  constexpr std::string_view kCanvas = "reprise.canvas_length";
  if (file.has(kCanvas)) hp.n_canvas = size_of(file, std::string(kCanvas), 1, hp.n_ctx_train);
}

void read_sliding_window(const GgufFile& file, DecoderHparams& hp) {
  hp.is_swa.assign(hp.n_layer, false);
  const std::string key = hp.arch + ".attention.sliding_window";
  if (hp.arch != "gemma3" || file.integer_or(key, 0) == 0) return;
  hp.n_swa = size_of(file, key, 1, kMaxContext);
  const int64_t pattern = file.integer_or(key + "_pattern", 6);
  if (pattern < 1 || pattern > 1024) {
    throw Error(fmt::format("{}: {}_pattern is {}, expected 1 to 1024; convert the model again",
                            file.path(), key, pattern));
  }
  for (int32_t il = 0; il < hp.n_layer; ++il) hp.is_swa[il] = il % pattern < pattern - 1;
}

}  // namespace

DecoderHparams decoder_hparams(const GgufFile& file) {
  DecoderHparams hp;
  hp.arch = file.string("general.architecture");
  constexpr std::array<std::string_view, 6> kKnown = {"llama",  "qwen2", "qwen3",
                                                      "gemma3", "llada", "dream"};
  if (std::find(kKnown.begin(), kKnown.end(), hp.arch) == kKnown.end()) {
    throw Error(fmt::format("{}: architecture '{}' is not built in; {} are", file.path(),
                            printable(hp.arch), fmt::join(kKnown, ", ")));
  }
  hp.is_masked = hp.arch == "llada" || hp.arch == "dream";
  const int64_t n_split = file.integer_or("split.count", 1);
  if (n_split > 1) {
    throw Error(fmt::format("{}: is one of {} files of a split model; merge them into one file",
                            file.path(), n_split));
  }
  const std::string& a = hp.arch;
  hp.name = file.string_or("general.name", "");
  hp.n_ctx_train = size_of(file, a + ".context_length", 1, kMaxContext);
  hp.n_embd = size_of(file, a + ".embedding_length", 1, 1 << 20);
  hp.n_layer = size_of(file, a + ".block_count", 1, 1024);
  hp.n_ff = size_of(file, a + ".feed_forward_length", 1, 1 << 22);
  hp.n_head = size_of(file, a + ".attention.head_count", 1, 4096);
  hp.n_head_kv = file.has(a + ".attention.head_count_kv")
                     ? size_of(file, a + ".attention.head_count_kv", 1, hp.n_head)
                     : hp.n_head;
  read_masking(file, hp);
  if (file.integer_or(a + ".expert_count", 0) != 0) {
    throw Error(
        fmt::format("{}: mixture-of-experts layers are not built in for '{}'", file.path(), a));
  }
  if (hp.n_head % hp.n_head_kv != 0) {
    throw Error(
        fmt::format("{}: {} query heads cannot share {} KV heads evenly; convert the model again",
                    file.path(), hp.n_head, hp.n_head_kv));
  }
  const std::string key_length = a + ".attention.key_length";
  if (file.has(key_length)) {
    hp.n_embd_head = size_of(file, key_length, 2, kMaxHeadLength);
    if (file.integer_or(a + ".attention.value_length", hp.n_embd_head) != hp.n_embd_head) {
      throw Error(
          fmt::format("{}: keys and values of different lengths are not built in", file.path()));
    }
  } else {
    if (hp.n_embd % hp.n_head != 0) {
      throw Error(fmt::format("{}: n_embd {} is no multiple of {} heads; convert the model again",
                              file.path(), hp.n_embd, hp.n_head));
    }
    hp.n_embd_head = hp.n_embd / hp.n_head;
    if (hp.n_embd_head < 2 || hp.n_embd_head > kMaxHeadLength) {
      throw Error(fmt::format(
          "{}: n_embd {} over {} heads gives a length of {}, expected 2 to {}; convert the model "
          "again",
          file.path(), hp.n_embd, hp.n_head, hp.n_embd_head, kMaxHeadLength));
    }
  }
  hp.rms_eps = static_cast<float>(file.real(a + ".attention.layer_norm_rms_epsilon"));
  if (!(hp.rms_eps > 0 && hp.rms_eps < 1)) {
    throw Error(
        fmt::format("{}: {}.attention.layer_norm_rms_epsilon is {}, expected above 0 and below 1",
                    file.path(), a, hp.rms_eps));
  }
  hp.attn_scale = 1.0F / std::sqrt(static_cast<float>(hp.n_embd_head));
  if (a == "gemma3") {
    hp.activation = Activation::kGelu;
    hp.embd_scale = std::sqrt(static_cast<float>(hp.n_embd));
    // The 27B model alone scales by its nominal head size. Source: gemma_pytorch, config.py.
    if (hp.n_layer == 62)
      hp.attn_scale = 1.0F / std::sqrt(static_cast<float>(hp.n_embd) / hp.n_head);
    if (file.real_or(a + ".final_logit_softcapping", 0) != 0) {
      throw Error(fmt::format("{}: soft-capped logits are not built in", file.path()));
    }
  }
  read_rope(file, hp);
  read_sliding_window(file, hp);
  return hp;
}

}  // namespace reprise
