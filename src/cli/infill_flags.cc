#include "cli/infill_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "cli/usage_error.h"
#include "engines/infill/dllm_eval.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr std::array<std::string_view, 8> kMaskedOnly = {
    "--span",       "--commit", "--refresh", "--pad-canvas",
    "--cache-type", "--eos",    "--infill",  "--watch"};
constexpr std::array<std::string_view, 10> kCausalOnly = {
    "--kv",   "--ctx",      "--min-p",   "--repeat-penalty", "--repeat-last-n",
    "--stop", "--logprobs", "--grammar", "--truncate",       "--compress-after"};

bool is_given(const CLI::App& verb, std::string_view name) {
  return verb.get_option(std::string(name))->count() > 0;
}

ggml_type cache_type(std::string_view name) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    if (name == ggml_type_name(type)) return type;
  }
  return GGML_TYPE_F16;
}

InfillChoice choice(const CLI::App& verb, const InfillFlags& flags, const GenerateFlags& generate,
                    const DllmMethod& method) {
  InfillChoice out;
  checked_flag([&] {
    out.options.span = make_span_policy(method.span);
    out.options.commit = make_commit_policy(method.commit);
    out.options.refresh = make_refresh_policy(method.refresh);
  });
  const SamplerOptions& sampler = generate.answer.sampler;
  out.options.temperature = sampler.temp;
  if (is_given(verb, "--top-p")) out.options.top_p = sampler.top_p;
  if (is_given(verb, "--top-k")) out.options.top_k = sampler.top_k;
  out.options.seed = static_cast<uint64_t>(sampler.seed);
  const EndChoice end = end_choice(flags.eos);
  out.options.stops_at_end = end.stops_at_end;
  out.options.end_tokens = end.end_tokens;
  out.policy = fmt::format("span {}, commit {}, refresh {}{}", method.span, method.commit,
                           method.refresh, flags.eos == "stop" ? "" : ", eos " + flags.eos);
  return out;
}

}  // namespace

void add_infill_flags(CLI::App& verb, InfillFlags& flags) {
  verb.get_option("--exact")->description(
      "turn every policy off; a diffusion model then commits one token a pass and reuses nothing");
  verb.get_option("--max-tokens")
      ->description("longest answer, in tokens; of a diffusion model 128 unless given");
  const std::string group = "Diffusion language models";
  verb.add_option("--span", flags.span,
                  "which positions are filled together, NAME:key=value,...; 'reprise policies' "
                  "explains these three")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--commit", flags.commit, "which proposals of a pass become text")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--refresh", flags.refresh, "which rows of a pass are computed anew")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--cache-type", flags.cache_type, "how keys and values are kept between passes")
      ->check(CLI::IsMember({"f32", "f16", "q8_0", "q4_0"}))
      ->capture_default_str()
      ->group(group);
  add_eos_flag(verb, flags.eos)->group(group);
  verb.add_option("--pad-canvas", flags.n_canvas,
                  "pad the text to N rows with end tokens, 0 for no padding; default: as the "
                  "model's file says that training padded")
      ->check(CLI::Range(0, 1 << 24))
      ->type_name("N")
      ->group(group);
  verb.add_flag("--infill", flags.is_gapped,
                "fill the gaps of the text of -p or -f: {{8}} stands for eight tokens, \\{{8}} for "
                "itself")
      ->group(group);
  verb.add_flag("--watch", flags.is_watched,
                "show on standard error how the text fills in, pass by pass; the answer comes at "
                "the end")
      ->group(group);
}

InfillChoice infill_choice(const CLI::App& verb, const InfillFlags& flags,
                           const GenerateFlags& generate) {
  // Checked even where --exact overrules it.
  InfillChoice out = choice(verb, flags, generate, {flags.span, flags.commit, flags.refresh});
  if (generate.is_exact) return exact_infill_choice(verb, flags, generate);
  out.options.cache_type = cache_type(flags.cache_type);
  return out;
}

InfillChoice exact_infill_choice(const CLI::App& verb, const InfillFlags& flags,
                                 const GenerateFlags& generate) {
  InfillChoice out = choice(verb, flags, generate, kTop1Method);
  out.options.cache_type = GGML_TYPE_F32;
  return out;
}

CLI::Option* add_eos_flag(CLI::App& verb, std::string& eos) {
  return verb
      .add_option("--eos", eos,
                  "what end tokens of an answer do. stop: the answer stops there. full: the whole "
                  "budget is filled, as published loops do. last: as stop, and they are committed "
                  "only where nothing else is left. never: none is proposed")
      ->check(CLI::IsMember({"stop", "full", "last", "never"}))
      ->capture_default_str();
}

EndChoice end_choice(std::string_view eos) {
  if (eos == "last") return {.end_tokens = EndTokens::kLast};
  if (eos == "never") return {.end_tokens = EndTokens::kNever};
  return {.stops_at_end = eos != "full"};
}

void warn_of_end_delimiter(const SpanPolicy& span, const TextModel& model) {
  const std::optional<TokenSet> delimiters = delimiters_of(span, model);
  const int32_t end_token = end_token_of(model);
  if (!delimiters || !delimiters->has(end_token)) return;
  spdlog::warn("delimiters={}: token {} ends the answer, so spans end with it, too",
               span.needs().delimiters, end_token);
}

void check_flags_of_kind(const CLI::App& verb, const TextModel& model) {
  const DecoderHparams& hp = model.decoder->hparams();
  const std::span<const std::string_view> others =
      hp.is_masked ? std::span<const std::string_view>(kCausalOnly) : kMaskedOnly;
  const auto wrong =
      std::ranges::find_if(others, [&](std::string_view name) { return is_given(verb, name); });
  if (wrong == others.end()) return;
  if (hp.is_masked) {
    throw UsageError(
        fmt::format("{}: is for causal models, and {} is a diffusion language model ({}), which "
                    "takes {}",
                    *wrong, model.file->path(), hp.arch, fmt::join(kMaskedOnly, ", ")));
  }
  throw UsageError(
      fmt::format("{}: is for diffusion language models such as dllm-demo, and {} is a causal one "
                  "({}), which takes {}",
                  *wrong, model.file->path(), hp.arch, fmt::join(kCausalOnly, ", ")));
}

}  // namespace reprise
