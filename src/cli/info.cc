#include "cli/info.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/info_policy.h"
#include "core/error.h"
#include "core/kv_block.h"
#include "core/model_catalogue.h"
#include "core/model_folders.h"
#include "core/printable.h"
#include "core/quantities.h"
#include "core/text_table.h"
#include "engines/generate/kv_size.h"
#include "engines/text_model.h"
#include "policies/registry.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

constexpr int32_t kBudget = 1024;  // entries a layer, whose saving is shown

struct InfoFlags {
  std::string model;
  bool is_json = false;
};

struct WeightType {
  std::string name;
  int64_t n_tensors = 0;
  int64_t n_bytes = 0;
};

// Bytes of the cache in one of its types.
struct KvSize {
  std::string type;
  int64_t n_token = 0;         // of a token while every layer sees it
  int64_t n_token_beyond = 0;  // that one more token adds beyond the sliding windows
  int64_t n_full = 0;          // at full context
  int64_t n_budget = 0;        // at full context with kBudget entries a layer

  double saved_share() const {
    return 1 - static_cast<double>(n_budget) / static_cast<double>(n_full);
  }
};

std::vector<WeightType> weight_types(const GgufFile& file) {
  std::map<ggml_type, WeightType> by_type;
  for (const GgufTensor& tensor : file.tensors()) {
    WeightType& type = by_type[tensor.type];
    type.name = ggml_type_name(tensor.type);
    ++type.n_tensors;
    type.n_bytes += static_cast<int64_t>(tensor.n_bytes);
  }
  std::vector<WeightType> types;
  types.reserve(by_type.size());
  for (auto& [type, weights] : by_type) types.push_back(weights);
  std::ranges::sort(types, std::greater(), &WeightType::n_bytes);
  return types;
}

int64_t n_weights(const GgufFile& file) {
  int64_t n = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    n += tensor.ne[0] * tensor.ne[1] * tensor.ne[2] * tensor.ne[3];
  }
  return n;
}

// Of a type that fits the model's heads. A diffusion language model keeps the positions of one text
// in their order, others a position beside every entry.
KvSize kv_size(const DecoderHparams& hp, ggml_type type) {
  const int64_t n_ctx = hp.n_ctx_train;
  if (hp.is_masked) {
    const int64_t n_token = hp.n_layer * KvShape{hp.n_embd_head, hp.n_head_kv, type}.entry_bytes();
    return {.type = ggml_type_name(type), .n_token = n_token, .n_full = n_token * n_ctx};
  }
  return {.type = ggml_type_name(type),
          .n_token = kv_bytes(hp, type, 1, 1),
          .n_token_beyond = kv_bytes(hp, type, 1, 1) - kv_bytes(hp, type, 1, 0),
          .n_full = kv_bytes(hp, type, n_ctx, n_ctx),
          .n_budget = kv_bytes(hp, type, n_ctx, kBudget)};
}

std::vector<KvSize> kv_sizes(const DecoderHparams& hp) {
  std::vector<KvSize> sizes;
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    try {
      check_kv_shape({hp.n_embd_head, hp.n_head_kv, type});
    } catch (const Error&) {
      continue;
    }
    sizes.push_back(kv_size(hp, type));
  }
  return sizes;
}

std::string licence(const GgufFile& file) {
  if (file.has("general.license")) return file.string("general.license");
  const std::string& path = file.path();
  for (const CatalogueModel& model : model_catalogue()) {
    if (path.ends_with("/" + model.file)) return model.licence;
  }
  return "not stated";
}

using PoliciesByKind = std::vector<std::pair<std::string_view, std::vector<std::string_view>>>;

// Every KV policy works on any causal decoder, the other kinds on any diffusion language model.
PoliciesByKind fitting_policies(const DecoderHparams& hp) {
  PoliciesByKind kinds = {{"kv", {}}};
  if (hp.is_masked) kinds = {{"span", {}}, {"commit", {}}, {"refresh", {}}};
  for (auto& [kind, names] : kinds) {
    for (const PolicyEntry* policy : all_policies())
      if (policy->kind() == kind) names.push_back(policy->bare_name());
  }
  return kinds;
}

std::string_view text_kind(const DecoderHparams& hp) { return hp.is_masked ? "masked" : "causal"; }

void print_json(const TextModel& model) {
  const DecoderHparams& hp = model.decoder->hparams();
  const GgufFile& file = *model.file;
  ordered_json out = {{"name", hp.name},
                      {"path", file.path()},
                      {"bytes", file.bytes().size()},
                      {"architecture", hp.arch},
                      {"kind", text_kind(hp)},
                      {"n_weights", n_weights(file)},
                      {"n_layer", hp.n_layer},
                      {"n_embd", hp.n_embd},
                      {"n_ff", hp.n_ff},
                      {"n_head", hp.n_head},
                      {"n_head_kv", hp.n_head_kv},
                      {"n_embd_head", hp.n_embd_head},
                      {"n_ctx_train", hp.n_ctx_train},
                      {"n_vocab", hp.n_vocab},
                      {"n_swa", hp.n_swa},
                      {"n_layer_swa", std::ranges::count(hp.is_swa, true)},
                      {"has_chat_template", file.has("tokenizer.chat_template")},
                      {"licence", licence(file)},
                      {"weights", ordered_json::array()},
                      {"kv", ordered_json::array()},
                      {"policies", ordered_json::object()},
                      {"weights_s", model.weights_s},
                      {"vocabulary_s", model.vocabulary_s}};
  for (const auto& [kind, names] : fitting_policies(hp)) out["policies"][kind] = names;
  if (hp.is_masked) {
    out["mask_token"] = hp.mask_token;
    out["shifts_logits"] = hp.shifts_logits;
    out["n_canvas"] = hp.n_canvas;
  }
  for (const WeightType& type : weight_types(file)) {
    out["weights"].push_back(
        {{"type", type.name}, {"n_tensors", type.n_tensors}, {"bytes", type.n_bytes}});
  }
  for (const KvSize& size : kv_sizes(hp)) {
    ordered_json kv = {{"type", size.type},
                       {"bytes_per_token", size.n_token},
                       {"bytes_at_full_context", size.n_full}};
    if (!hp.is_masked) {
      kv["bytes_per_token_beyond_window"] = size.n_token_beyond;
      kv["bytes_with_budget_1024"] = size.n_budget;
    }
    out["kv"].push_back(std::move(kv));
  }
  fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

std::string windows_text(const DecoderHparams& hp) {
  if (hp.n_swa == 0) return "none: every layer sees the whole context";
  return fmt::format("{} of {} layers see the last {} tokens only",
                     std::ranges::count(hp.is_swa, true), hp.n_layer, format_count(hp.n_swa));
}

// Of a diffusion language model.
std::string masked_text(const TextModel& model) {
  const DecoderHparams& hp = model.decoder->hparams();
  const std::string& mask = model.file->strings("tokenizer.ggml.tokens")[hp.mask_token];
  return fmt::format(
      "diffusion language model: fills token {} ({}), read off {}; {}", hp.mask_token,
      printable(mask), hp.shifts_logits ? "the row before it (shifted logits)" : "its own row",
      hp.n_canvas == 0
          ? "texts are not padded"
          : fmt::format("texts are padded to {} rows, as in training", format_count(hp.n_canvas)));
}

std::string policies_text(const DecoderHparams& hp) {
  if (!hp.is_masked) {
    return fmt::format("every one of kind kv: --kv {}",
                       fmt::join(fitting_policies(hp).front().second, "|"));
  }
  std::vector<std::string> flags;
  for (const auto& [kind, names] : fitting_policies(hp))
    flags.push_back(fmt::format("--{} {}", kind, fmt::join(names, "|")));
  return fmt::format("{}", fmt::join(flags, ", "));
}

void print_facts(const TextModel& model) {
  using enum TextTable::Align;
  const DecoderHparams& hp = model.decoder->hparams();
  const GgufFile& file = *model.file;
  TextTable facts({{""}, {"", kLeft, 80}});
  facts.add({"model", hp.name.empty() ? "without a name" : printable(hp.name)});
  facts.add({"file", fmt::format("{} ({})", file.path(),
                                 format_bytes(static_cast<int64_t>(file.bytes().size())))});
  facts.add(
      {"architecture", fmt::format("{}, {} weights", hp.arch, format_count(n_weights(file)))});
  if (hp.is_masked) facts.add({"kind", masked_text(model)});
  facts.add({"layers", fmt::format("n_layer {}, n_embd {}, n_ff {}", hp.n_layer,
                                   format_count(hp.n_embd), format_count(hp.n_ff))});
  facts.add({"attention", fmt::format("n_head {}, n_head_kv {}, n_embd_head {}", hp.n_head,
                                      hp.n_head_kv, hp.n_embd_head)});
  facts.add({"sliding windows", windows_text(hp)});
  facts.add({"context", fmt::format("n_ctx_train {}", format_count(hp.n_ctx_train))});
  facts.add({"vocabulary", fmt::format("n_vocab {}", format_count(hp.n_vocab))});
  facts.add({"chat template", file.has("tokenizer.chat_template")
                                  ? "yes"
                                  : "no; use --raw, or --chat-template NAME|FILE"});
  std::vector<std::string> types;
  for (const WeightType& type : weight_types(file)) {
    types.push_back(
        fmt::format("{} {} ({} tensors)", type.name, format_bytes(type.n_bytes), type.n_tensors));
  }
  facts.add({"weight types", fmt::format("{}", fmt::join(types, ", "))});
  facts.add({"licence", printable(licence(file))});
  facts.add({"load time", fmt::format("weights {}, vocabulary {}", format_seconds(model.weights_s),
                                      format_seconds(model.vocabulary_s))});
  facts.add({"policies", policies_text(hp)});
  fmt::print("{}", facts.text());
}

// Of a diffusion language model, which keeps every position of the text and nothing longer.
void print_canvas_cache(const DecoderHparams& hp) {
  using enum TextTable::Align;
  TextTable table({{"cache between passes"},
                   {"a position", kRight},
                   {fmt::format("{} positions", format_count(hp.n_ctx_train)), kRight}});
  for (const KvSize& size : kv_sizes(hp))
    table.add({size.type, format_bytes(size.n_token), format_bytes(size.n_full)});
  fmt::print("\n{}", table.text());
}

void print_kv(const DecoderHparams& hp) {
  using enum TextTable::Align;
  const bool has_windows = hp.n_swa > 0;
  const std::string beyond = has_windows ? "beyond the windows" : "";
  TextTable table({{"KV cache"},
                   {"a token", kRight},
                   {beyond, kRight},
                   {fmt::format("{} tokens", format_count(hp.n_ctx_train)), kRight},
                   {fmt::format("with budget={}", kBudget), kRight},
                   {"saved", kRight}});
  for (const KvSize& size : kv_sizes(hp)) {
    table.add({size.type, format_bytes(size.n_token),
               has_windows ? format_bytes(size.n_token_beyond) : "", format_bytes(size.n_full),
               format_bytes(size.n_budget), fmt::format("{:.1f} %", 100 * size.saved_share())});
  }
  fmt::print("\n{}", table.text());
}

void info(const InfoFlags& flags) {
  const std::string path = find_model(flags.model);
  if (is_robot_policy(path)) return print_policy_info(path, flags.is_json);
  const std::shared_ptr<const TextModel> model = TextModel::load(flags.model, {}, TextKind::kAny);
  if (flags.is_json) return print_json(*model);
  print_facts(*model);
  const DecoderHparams& hp = model->decoder->hparams();
  hp.is_masked ? print_canvas_cache(hp) : print_kv(hp);
}

}  // namespace

void add_info(CLI::App& app, int& /*exit_code*/) {
  auto flags = std::make_shared<InfoFlags>();
  CLI::App* verb = app.add_subcommand("info", "sizes, cache bytes and fitting policies of a model");
  verb->add_option("model", flags->model, "name of a model ('reprise list') or path of its file")
      ->required();
  verb->add_flag("--json", flags->is_json, "print JSON instead of tables");
  verb->footer(
      "Examples:\n"
      "  reprise info smollm2\n"
      "  reprise info smollm2 --json");
  verb->callback([flags] { info(*flags); });
}

}  // namespace reprise
