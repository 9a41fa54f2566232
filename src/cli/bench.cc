#include "cli/bench.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "cli/compute_flags.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/usage_error.h"
#include "core/atomic_file.h"
#include "core/bench_html.h"
#include "core/bench_report.h"
#include "core/error.h"
#include "core/kernel_bench.h"
#include "engines/generate/kv_bench.h"
#include "engines/generate/named_policy.h"
#include "engines/generate/text_model.h"

namespace reprise {
namespace {

constexpr size_t kMaxTextBytes = size_t{64} << 20;

// Where every bench leaves its report besides the table on standard output.
struct ReportFlags {
  std::string json;
  std::string html;
};

void add_report_flags(CLI::App& verb, ReportFlags& flags) {
  verb.add_option("--json", flags.json, "write everything measured to this file")
      ->type_name("FILE");
  verb.add_option("--html", flags.html, "write a page with plots to this file; it needs no network")
      ->type_name("FILE");
}

// Refuses at once what would otherwise be refused after the work.
void check_folders(const ReportFlags& flags) {
  for (const std::string& path : {flags.json, flags.html}) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (path.empty() || folder.empty() || std::filesystem::is_directory(folder)) continue;
    throw Error(
        fmt::format("{}: the folder '{}' does not exist; make it first", path, folder.string()));
  }
}

void write_report(const BenchReport& report, const ReportFlags& flags) {
  fmt::print("{}", bench_table(report));
  const auto write = [](const std::string& path, const std::string& text) {
    if (!path.empty()) write_file(path, std::as_bytes(std::span(text)));
  };
  write(flags.json, bench_json(report));
  write(flags.html, bench_html(report));
}

struct KvFlags {
  std::string model = "smollm2";
  std::string text;
  ComputeFlags compute;
  bool is_quick = false;
  KvBenchOptions options;
  ReportFlags report;
};

std::string read_text(const std::string& given) {
  const std::string path = given.empty() ? REPRISE_SOURCE_DIR "/examples/texts/alice.txt" : given;
  if (given.empty() && !std::filesystem::exists(path)) {
    throw Error(fmt::format("{} is not here; give another text with --text FILE", path));
  }
  return read_file(path, kMaxTextBytes);
}

int run_kv(const KvFlags& flags) {
  check_folders(flags.report);
  checked_flag([&] {
    flags.options.check();
    named_policies(flags.options.more_policies);
  });
  const std::string text = read_text(flags.text);
  const Backend backend = flags.compute.backend();
  if (!backend.has_kernels()) {
    throw Error("bench kv compares with libllama on the CPU's cores; leave --device out");
  }
  const std::shared_ptr<const TextModel> model =
      TextModel::load(flags.model, flags.compute.weight_place(backend));
  explain_weights(*model->file, flags.compute);
  const std::vector<int32_t> tokens = model->tokenizer.tokenize(text, false, false);
  std::optional<Progress> progress;
  KvBenchEvents events;
  events.on_begin = [&](const std::string& what, int64_t n_total) {
    progress.emplace(what, "tokens", n_total);
  };
  events.on_progress = [&](int64_t n_done) {
    throw_if_interrupted();
    progress->update(n_done);
  };
  events.on_end = [&] { progress->finish(); };
  write_report(
      bench_kv(model->decoder, model->file->path(), backend, tokens, flags.options, events),
      flags.report);
  return 0;
}

void add_bench_kv(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<KvFlags>();
  CLI::App* verb = bench.add_subcommand(
      "kv", "the KV policies against a full cache and against libllama: speed, memory, quality");
  verb->add_option("model", flags->model, "name of a model ('reprise list') or path of a GGUF file")
      ->capture_default_str();
  add_compute_flags(*verb, flags->compute);
  CLI::Option* contexts =
      verb->add_option("--contexts", flags->options.contexts, "prompt lengths in tokens, rising")
          ->delimiter(',')
          ->capture_default_str();
  CLI::Option* runs =
      verb->add_option("--runs", flags->options.n_runs,
                       "decode runs of everyone; prefill runs of full, cake and libllama are as "
                       "many up to 4,096 tokens, 3 at most above")
          ->check(CLI::Range(1, 1000))
          ->capture_default_str();
  CLI::Option* budget =
      verb->add_option("--budget", flags->options.budget, "KV entries a layer of every policy")
          ->check(CLI::Range(33, 1 << 24))
          ->capture_default_str();
  verb->add_option("--kv", flags->options.more_policies,
                   "one more policy to run, NAME:key=value,...; repeatable")
      ->allow_extra_args(false);
  verb->add_option("--text", flags->text,
                   "a text of your own to read; default: examples/texts/alice.txt")
      ->type_name("FILE");
  verb->add_flag("--quick", flags->is_quick,
                 "under two minutes: contexts 128 and 1,024, budget 256, few runs");
  add_report_flags(*verb, flags->report);
  verb->footer(
      "Examples:\n"
      "  reprise bench kv smollm2 --quick --html kv.html\n"
      "  reprise bench kv smollm2 --contexts 2048 --kv cake:budget=512,decode=cake --json kv.json");
  verb->callback([flags, contexts, runs, budget, &exit_code] {
    KvBenchOptions& options = flags->options;
    if (flags->is_quick) {
      if (contexts->count() == 0) options.contexts = {128, 1024};
      if (runs->count() == 0) options.n_runs = 3;
      if (budget->count() == 0) options.budget = 256;
      options.n_long_runs = 2;
      options.long_context = KvBenchOptions::kShortContext;
      options.n_continuation = 32;
      options.skips_slack = true;
      options.has_all_policies = false;
    }
    options.n_long_runs = std::min(options.n_long_runs, options.n_runs);
    exit_code = run_kv(*flags);
  });
}

void add_bench_kernels(CLI::App& bench, int& exit_code) {
  struct Flags {
    KernelBenchOptions options;
    bool is_quick = false;
    ReportFlags report;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = bench.add_subcommand(
      "kernels", "what this machine can do, and each kernel's share of it, beside ggml's");
  verb->add_option("--threads", flags->options.n_threads, "compute threads; default: all cores")
      ->check(CLI::Range(1, 512));
  CLI::Option* runs = verb->add_option("--runs", flags->options.n_runs, "rounds")
                          ->check(CLI::Range(1, 1000))
                          ->capture_default_str();
  verb->add_flag("--quick", flags->is_quick, "two rounds");
  add_report_flags(*verb, flags->report);
  verb->footer(
      "Examples:\n"
      "  reprise bench kernels --json kernels.json\n"
      "  reprise bench kernels --threads 1 --quick");
  verb->callback([flags, runs, &exit_code] {
    if (flags->is_quick && runs->count() == 0) flags->options.n_runs = 2;
    check_folders(flags->report);
    write_report(bench_kernels(flags->options,
                               [](const std::string& what) {
                                 throw_if_interrupted();
                                 spdlog::debug("{}", what);
                               }),
                 flags->report);
    exit_code = 0;
  });
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* bench = app.add_subcommand("bench", "measure speed, with peers, bounds and controls");
  bench->require_subcommand(1);
  add_bench_kv(*bench, exit_code);
  add_bench_kernels(*bench, exit_code);
}

}  // namespace reprise
