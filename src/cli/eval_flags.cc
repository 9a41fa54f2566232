#include "cli/eval_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

#include "core/atomic_file.h"

namespace reprise {

void add_eval_flags(CLI::App& verb, EvalFlags& flags) {
  verb.add_option("model", flags.model, "name of a model ('reprise list') or path of a GGUF file")
      ->required();
  const std::string what = fmt::format(
      "a policy to measure, NAME:key=value,...; repeatable; 'reprise policies' explains them; "
      "default: {}",
      fmt::join(flags.default_kv, " and "));
  verb.add_option("--kv", flags.kv, what)->allow_extra_args(false)->type_name("POLICY");
  add_compute_flags(verb, flags.compute);
  verb.add_option("--json", flags.json_path, "also write all numbers to FILE")->type_name("FILE");
}

void check_json_path(const std::string& path) {
  if (!path.empty()) check_folder_of(path);
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
