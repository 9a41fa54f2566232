#include "core/chat_template_names.h"

#include <algorithm>
#include <numeric>

namespace reprise {
namespace {

// tools/golden_chat_templates.py reads these texts out of this file; keep the delimiter.
constexpr std::string_view kChatml = R"jinja({%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%})jinja";

constexpr std::string_view kGemma = R"jinja({{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- set text = message.content | trim -%}
{%- if message.role == 'system' and loop.first -%}
{%- set ns.system = text + '\n\n' -%}
{%- elif message.role == 'user' -%}
{{ '<start_of_turn>user\n' + ns.system + text + '<end_of_turn>\n' }}
{%- set ns.system = '' -%}
{%- elif message.role == 'assistant' -%}
{{ '<start_of_turn>model\n' + text + '<end_of_turn>\n' }}
{%- else -%}
{{ raise_exception('gemma knows a first system message, user and assistant, not ' + message.role) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%})jinja";

constexpr std::string_view kLlama2 = R"jinja({%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- set text = message.content | trim -%}
{%- if message.role == 'system' and loop.first -%}
{%- set ns.system = '<<SYS>>\n' + text + '\n<</SYS>>\n\n' -%}
{%- elif message.role == 'user' -%}
{{ bos_token + '[INST] ' + ns.system + text + ' [/INST]' }}
{%- set ns.system = '' -%}
{%- elif message.role == 'assistant' -%}
{{ ' ' + text + ' ' + eos_token }}
{%- else -%}
{{ raise_exception('llama2 knows a first system message, user and assistant, not ' + message.role) }}
{%- endif -%}
{%- endfor -%})jinja";

constexpr std::string_view kLlama3 = R"jinja({{- bos_token -}}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}{{ message.content | trim }}{{ '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif -%})jinja";

constexpr std::string_view kMistral = R"jinja({{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' and loop.first -%}
{%- set ns.system = message.content + '\n\n' -%}
{%- elif message.role == 'user' -%}
{{ '[INST] ' + ns.system + message.content + '[/INST]' }}
{%- set ns.system = '' -%}
{%- elif message.role == 'assistant' -%}
{{ ' ' + message.content + eos_token }}
{%- else -%}
{{ raise_exception('mistral knows a first system message, user and assistant, not ' + message.role) }}
{%- endif -%}
{%- endfor -%})jinja";

constexpr std::string_view kPhi3 = R"jinja({%- for message in messages -%}
{{ '<|' + message.role + '|>\n' + message.content + '<|end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\n' }}{%- endif -%})jinja";

constexpr std::string_view kZephyr = R"jinja({%- for message in messages -%}
{{ '<|' + message.role + '|>\n' + message.content + eos_token + '\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|assistant|>\n' }}{%- endif -%})jinja";

// Levenshtein's distance, one row at a time.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

const std::vector<NamedChatTemplate>& named_chat_templates() {
  static const std::vector<NamedChatTemplate> all = {
      {"chatml", kChatml},   {"gemma", kGemma}, {"llama2", kLlama2}, {"llama3", kLlama3},
      {"mistral", kMistral}, {"phi3", kPhi3},   {"zephyr", kZephyr}};
  return all;
}

std::string_view nearest_chat_template(std::string_view name) {
  const auto& all = named_chat_templates();
  return std::min_element(all.begin(), all.end(),
                          [name](const auto& a, const auto& b) {
                            return edits(name, a.name) < edits(name, b.name);
                          })
      ->name;
}

}  // namespace reprise
