#include "engines/infill/dllm_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/utf8.h"

namespace reprise {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{64} << 20;

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) out.push_back(line);
  return out;
}

}  // namespace

std::vector<DllmPrompt> parse_dllm_prompts(std::string_view text, const std::string& name) {
  check_utf8(text, name);
  std::vector<DllmPrompt> out;
  int64_t number = 0;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const json object = json::parse(line, nullptr, false);
    const auto field = [&](const char* key) {
      if (!object.is_object() || !object.contains(key) || !object[key].is_string() ||
          object[key].get_ref<const std::string&>().empty()) {
        throw Error(fmt::format(
            "{}:{}: no text '{}'; a line is {{\"task\": ..., \"prompt\": ..., \"answer\": ...}}",
            name, number, key));
      }
      return object[key].get<std::string>();
    };
    out.push_back({field("task"), field("prompt"), field("answer")});
  }
  if (out.empty()) throw Error(fmt::format("{}: holds no prompt", name));
  return out;
}

std::vector<DllmPrompt> read_dllm_prompts(const std::string& path) {
  return parse_dllm_prompts(read_file(path, kMaxBytes), path);
}

std::vector<DllmPrompt> first_of_each_task(const std::vector<DllmPrompt>& prompts, int32_t n) {
  std::map<std::string, int32_t> n_taken;
  std::vector<DllmPrompt> out;
  std::ranges::copy_if(prompts, std::back_inserter(out),
                       [&](const DllmPrompt& prompt) { return n_taken[prompt.task]++ < n; });
  return out;
}

DllmVerdict judge_dllm(const std::vector<int32_t>& want, const std::vector<int32_t>& got,
                       bool has_ended, int32_t budget, const Tokenizer& tokenizer) {
  DllmVerdict verdict;
  const size_t n = std::min<size_t>(want.size(), budget);
  const bool fits = want.size() < static_cast<size_t>(budget);
  verdict.is_right =
      got.size() == n && std::equal(got.begin(), got.end(), want.begin()) && has_ended == fits;
  const std::vector<std::string> right = lines(tokenizer.detokenize(want));
  const std::vector<std::string> found = lines(tokenizer.detokenize(got));
  verdict.n_lines = static_cast<int32_t>(right.size());
  for (size_t i = 0; i < std::min(right.size(), found.size()); ++i)
    verdict.n_right_lines += right[i] == found[i] ? 1 : 0;
  return verdict;
}

}  // namespace reprise
