#include "cli/eval_flags.h"

#include <fmt/format.h>

#include <span>

#include "core/atomic_file.h"
#include "policies/registry.h"

namespace reprise {

void add_eval_flags(CLI::App& verb, EvalFlags& flags, std::vector<std::string> kv) {
  flags.kv = std::move(kv);
  verb.add_option("model", flags.model, "name of a model ('reprise list') or path of a GGUF file")
      ->required();
  verb.add_option(
          "--kv", flags.kv,
          "a policy to measure, NAME:key=value,...; repeatable; 'reprise policies' explains "
          "them")
      ->allow_extra_args(false)
      ->capture_default_str();
  verb.add_option("--threads", flags.n_threads, "compute threads; default: all cores")
      ->check(CLI::Range(1, 512));
  verb.add_option("--json", flags.json_path, "also write all numbers to FILE")->type_name("FILE");
}

std::vector<NamedPolicy> named_policies(const std::vector<std::string>& texts) {
  std::vector<NamedPolicy> policies;
  for (const std::string& text : texts) policies.push_back({text, make_kv_policy(text)});
  return policies;
}

void write_eval_json(const nlohmann::ordered_json& numbers, const std::string& path) {
  using nlohmann::ordered_json;
  // Names of files may be no UTF-8.
  const std::string text =
      numbers.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  write_file(path, std::as_bytes(std::span(text)));
}

std::string format_share(double share) { return fmt::format("{:.1f} %", 100 * share); }
std::string format_nats(double nats) { return fmt::format("{:.3g}", nats); }

}  // namespace reprise
