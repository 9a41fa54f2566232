#include "cli/eval_ppl.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/eval_flags.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/usage_error.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/quantities.h"
#include "core/text_table.h"
#include "core/utf8.h"
#include "engines/generate/perplexity.h"
#include "engines/text_model.h"

namespace reprise {
namespace {

constexpr size_t kMaxTextBytes = size_t{256} << 20;
constexpr int32_t kUsualContext = 2048;

struct PplFlags {
  EvalFlags eval;
  std::string file;
  int32_t n_ctx = 0;     // 0: kUsualContext, or what the model was trained for
  int32_t n_tokens = 0;  // 0: all of the text
};

// The text as whole contexts, one after the other.
struct Contexts {
  std::vector<int32_t> tokens;
  int32_t n_ctx = 0;
  int32_t count() const { return static_cast<int32_t>(tokens.size()) / n_ctx; }
  std::span<const int32_t> at(int32_t i) const {
    return std::span(tokens).subspan(static_cast<size_t>(i) * n_ctx, n_ctx);
  }
};

Contexts read_contexts(const PplFlags& flags, const TextModel& model) {
  const int32_t n_ctx_train = model.decoder->hparams().n_ctx_train;
  Contexts contexts;
  contexts.n_ctx = flags.n_ctx > 0 ? flags.n_ctx : std::min(kUsualContext, n_ctx_train);
  if (contexts.n_ctx > n_ctx_train) {
    throw Error(fmt::format("--ctx {}: the model was trained for {} tokens; lower --ctx",
                            contexts.n_ctx, n_ctx_train));
  }
  const std::string text = read_file(flags.file, kMaxTextBytes);
  check_utf8(text, flags.file);
  contexts.tokens = model.tokenizer.tokenize(text, true, false);
  const size_t n_all = contexts.tokens.size();
  if (flags.n_tokens > 0) contexts.tokens.resize(std::min<size_t>(flags.n_tokens, n_all));
  if (contexts.count() == 0) {
    throw Error(
        fmt::format("{}: {} of its {} tokens are used, and one context needs {}; give a "
                    "longer text or lower --ctx{}",
                    flags.file, contexts.tokens.size(), n_all, contexts.n_ctx,
                    contexts.tokens.size() < n_all ? ", or raise --tokens" : ""));
  }
  return contexts;
}

void print_table(std::span<const PerplexityRow> rows, const PplFlags& flags, int32_t n_ctx) {
  const int64_t n_contexts = rows.front().held_bytes.n();
  fmt::print("perplexity of {}: {} contexts of {} tokens, the last {} of each scored\n", flags.file,
             format_count(n_contexts), format_count(n_ctx),
             format_count(PerplexityEval::n_scored(n_ctx)));
  using Align = TextTable::Align;
  TextTable table({{"policy", Align::kLeft},
                   {"perplexity", Align::kRight},
                   {"error", Align::kRight},
                   {"KL, nats", Align::kRight},
                   {"same best", Align::kRight},
                   {"held", Align::kRight},
                   {"dropped", Align::kRight},
                   {"time", Align::kRight}});
  for (const PerplexityRow& row : rows) {
    const bool is_compared = row.agreement.kl.n() > 0;
    table.add({row.policy, fmt::format("{:.4f}", row.perplexity()),
               fmt::format("+-{:.4f}", row.error()),
               is_compared ? format_nats(row.agreement.kl.value()) : "-",
               is_compared ? format_share(row.agreement.same_best()) : "-",
               format_bytes(static_cast<int64_t>(row.held_bytes.value())),
               format_count(row.n_dropped), format_seconds(row.seconds)});
  }
  fmt::print("{}", table.text());
}

void write_json(std::span<const PerplexityRow> rows, const PplFlags& flags, int32_t n_ctx) {
  nlohmann::ordered_json out = {{"eval", "ppl"},
                                {"model", flags.eval.model},
                                {"file", flags.file},
                                {"n_ctx", n_ctx},
                                {"n_contexts", rows.front().held_bytes.n()},
                                {"rows", nlohmann::ordered_json::array()}};
  for (const PerplexityRow& row : rows) {
    nlohmann::ordered_json cells = {{"policy", row.policy},
                                    {"perplexity", row.perplexity()},
                                    {"perplexity_error", row.error()},
                                    {"nll", row.nll.value()},
                                    {"n_scored", row.nll.n()}};
    if (row.agreement.kl.n() > 0) {
      cells["kl"] = row.agreement.kl.value();
      cells["kl_error"] = row.agreement.kl.error();
      cells["same_best"] = row.agreement.same_best();
    }
    cells["held_bytes"] = row.held_bytes.value();
    cells["n_entries_dropped"] = row.n_dropped;
    cells["seconds"] = row.seconds;
    out["rows"].push_back(std::move(cells));
  }
  write_eval_json(out, flags.eval.json_path);
}

void eval_ppl(const PplFlags& flags) {
  check_json_path(flags.eval.json_path);
  const std::vector<NamedPolicy> policies = checked_flag([&] {
    return named_policies(flags.eval.kv.empty() ? flags.eval.default_kv : flags.eval.kv);
  });
  Backend backend = flags.eval.compute.backend();
  ProductLog products;
  backend.set_products(&products);
  const std::shared_ptr<const TextModel> model = flags.eval.compute.load(flags.eval.model, backend);
  explain_weights(*model, flags.eval.compute);
  const Contexts contexts = read_contexts(flags, *model);
  PerplexityEval eval(model->decoder, backend, policies, context_bos(model->tokenizer));
  Progress progress("scoring", "tokens", eval.n_read(contexts.n_ctx) * contexts.count());
  int64_t n_done = 0;
  try {
    for (int32_t i = 0; i < contexts.count(); ++i) {
      eval.add(contexts.at(i), [&](int64_t n_new) {
        throw_if_interrupted();
        progress.update(n_done += n_new);
      });
    }
  } catch (const Interrupted&) {  // what is whole so far
    if (eval.rows().front().nll.n() > 0) print_table(eval.rows(), flags, contexts.n_ctx);
    throw;
  }
  progress.finish();
  explain_products(products, flags.eval.compute);
  print_table(eval.rows(), flags, contexts.n_ctx);
  if (!flags.eval.json_path.empty()) write_json(eval.rows(), flags, contexts.n_ctx);
  for (size_t i = 0; i < policies.size(); ++i) {
    if (policies[i].is_unlimited() || eval.rows()[i].n_dropped > 0) continue;
    spdlog::info(
        "--kv {}: the budget holds the {} tokens before the scored ones, nothing was "
        "dropped",
        policies[i].text, format_count(contexts.n_ctx / 2 + 1));
  }
}

}  // namespace

void add_eval_ppl(CLI::App& eval, int& exit_code) {
  auto flags = std::make_shared<PplFlags>();
  CLI::App* verb = eval.add_subcommand(
      "ppl",
      "perplexity of a text, by the convention of llama.cpp's tool: contexts do not overlap, begin "
      "with BOS where the model wants it, and only their second half is scored. A policy that "
      "evicts judges the first half; the second is read on what it holds");
  flags->eval.default_kv = {"full"};
  add_eval_flags(*verb, flags->eval);
  verb->add_option("-f,--file", flags->file, "the text, UTF-8")->type_name("FILE")->required();
  verb->add_option("--ctx", flags->n_ctx,
                   "tokens of a context; default: 2048, or the model's if that is shorter")
      ->check(CLI::Range(PerplexityEval::kMinContext, 1 << 24));
  verb->add_option("--tokens", flags->n_tokens, "use the first N tokens; default: the whole text")
      ->check(CLI::Range(1, 1 << 30));
  verb->footer(
      "With `full` among the policies each one is also compared with it token by token:\n"
      "KL(full || policy) in nats and how often both find the same token most probable.\n\n"
      "Examples:\n"
      "  reprise eval ppl smollm2 -f examples/texts/alice.txt\n"
      "  reprise eval ppl smollm2 -f README.md --ctx 512 --kv full --kv cake:budget=64");
  verb->callback([flags, &exit_code] {
    eval_ppl(*flags);
    exit_code = 0;
  });
}

}  // namespace reprise
