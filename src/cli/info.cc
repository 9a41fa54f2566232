#include "cli/info.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/kv_block.h"
#include "core/model_catalogue.h"
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

// Of the types that fit the model's heads.
std::vector<KvSize> kv_sizes(const DecoderHparams& hp) {
  std::vector<KvSize> sizes;
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0}) {
    try {
      check_kv_shape({hp.n_embd_head, hp.n_head_kv, type});
    } catch (const Error&) {
      continue;
    }
    const int64_t n_ctx = hp.n_ctx_train;
    sizes.push_back({.type = ggml_type_name(type),
                     .n_token = kv_bytes(hp, type, 1, 1),
                     .n_token_beyond = kv_bytes(hp, type, 1, 1) - kv_bytes(hp, type, 1, 0),
                     .n_full = kv_bytes(hp, type, n_ctx, n_ctx),
                     .n_budget = kv_bytes(hp, type, n_ctx, kBudget)});
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

// Every KV policy works on any causal decoder.
std::vector<std::string_view> fitting_policies() {
  std::vector<std::string_view> names;
  for (const PolicyEntry* policy : all_policies()) {
    if (policy->kind() == "kv") names.push_back(policy->bare_name());
  }
  return names;
}

void print_json(const TextModel& model) {
  const DecoderHparams& hp = model.decoder->hparams();
  const GgufFile& file = *model.file;
  ordered_json out = {{"name", hp.name},
                      {"path", file.path()},
                      {"bytes", file.bytes().size()},
                      {"architecture", hp.arch},
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
                      {"policies", {{"kv", fitting_policies()}}},
                      {"weights_s", model.weights_s},
                      {"vocabulary_s", model.vocabulary_s}};
  for (const WeightType& type : weight_types(file)) {
    out["weights"].push_back(
        {{"type", type.name}, {"n_tensors", type.n_tensors}, {"bytes", type.n_bytes}});
  }
  for (const KvSize& size : kv_sizes(hp)) {
    out["kv"].push_back({{"type", size.type},
                         {"bytes_per_token", size.n_token},
                         {"bytes_per_token_beyond_window", size.n_token_beyond},
                         {"bytes_at_full_context", size.n_full},
                         {"bytes_with_budget_1024", size.n_budget}});
  }
  fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

std::string windows_text(const DecoderHparams& hp) {
  if (hp.n_swa == 0) return "none: every layer sees the whole context";
  return fmt::format("{} of {} layers see the last {} tokens only",
                     std::ranges::count(hp.is_swa, true), hp.n_layer, format_count(hp.n_swa));
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
  facts.add({"policies",
             fmt::format("every one of kind kv: --kv {}", fmt::join(fitting_policies(), "|"))});
  fmt::print("{}", facts.text());
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
  const std::shared_ptr<const TextModel> model = TextModel::load(flags.model, {});
  if (flags.is_json) return print_json(*model);
  print_facts(*model);
  print_kv(model->decoder->hparams());
}

}  // namespace

void add_info(CLI::App& app, int& /*exit_code*/) {
  auto flags = std::make_shared<InfoFlags>();
  CLI::App* verb = app.add_subcommand("info", "sizes, cache bytes and fitting policies of a model");
  verb->add_option("model", flags->model, "name of a model ('reprise list') or path of a GGUF file")
      ->required();
  verb->add_flag("--json", flags->is_json, "print JSON instead of tables");
  verb->footer(
      "Examples:\n"
      "  reprise info smollm2\n"
      "  reprise info smollm2 --json");
  verb->callback([flags] { info(*flags); });
}

}  // namespace reprise
