#include "core/chat_template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <optional>

#include "core/chat_template_guard.h"
#include "core/chat_template_names.h"
#include "core/control_texts.h"
#include "core/error.h"
#include "core/gguf_file.h"
#include "jinja/parser.h"

namespace reprise {

struct ChatTemplate::Program {
  std::string name, source;
  std::shared_ptr<std::string> lexed_source;  // what the program's positions count in
  std::string bos, eos;
  ControlTexts control;
  jinja::program body;
};

namespace {

// A text and which of its bytes came out of a message.
struct MarkedText {
  std::string text;
  std::vector<bool> is_input;

  void append(std::string_view more, bool input) {
    text += more;
    is_input.resize(text.size(), input);
  }
};

// The engine's messages are drawings of several lines. The useful ones have one of two forms:
// "...While executing X at line 3, column 4 in source:\n...drawing...\nError: WHAT" and
// "parser: WHAT\n...drawing...".
std::string one_line(std::string message) {
  constexpr std::string_view kAt = " at line ", kIn = " in source:\n", kError = "\nError: ";
  constexpr std::string_view kRaised = "Jinja Exception: ";
  const size_t at = message.find(kAt);
  const size_t in = at == std::string::npos ? at : message.find(kIn, at);
  const size_t error = in == std::string::npos ? in : message.find(kError, in);
  if (error != std::string::npos) {
    std::string what = message.substr(error + kError.size());
    if (what.starts_with(kRaised)) what.erase(0, kRaised.size());
    const size_t line = at + std::string_view(" at ").size();
    message = fmt::format("{}: {}", message.substr(line, in - line), what);
  } else if (const size_t drawing = message.find("\n..."); drawing != std::string::npos) {
    const size_t end = message.find('\n', drawing + 1);
    message = fmt::format("{} near '{}'", message.substr(0, drawing),
                          message.substr(drawing + 1, end - drawing - 1));
  }
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message;
}

bool is_word(std::string_view role) {
  return !role.empty() && role.size() <= 32 && std::all_of(role.begin(), role.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// Stands for the i-th control text of the messages while the template runs. Byte 255 is in no
// UTF-8 text, so neither template nor messages can hold it.
std::string stand_in(size_t i) { return fmt::format("\xFF{}\xFF", i); }

void check(const std::string& name, std::span<const ChatMessage> messages) {
  if (messages.empty()) throw Error(name + ": the conversation has no messages; give one");
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!is_word(messages[i].role)) {
      throw Error(fmt::format("messages[{}]: role {:?} is no word of a-z, 0-9 and _ up to 32 long",
                              i, messages[i].role.substr(0, 64)));
    }
    if (const size_t at = messages[i].content.find('\xFF'); at != std::string::npos) {
      throw Error(
          fmt::format("messages[{}]: byte {} is 255, which is no UTF-8; convert the text", i, at));
    }
  }
}

// Replaces the control texts of `content` by stand-ins and appends them to `hidden`; overlapping
// ones share a stand-in.
std::string hide(const ControlTexts& control, const std::string& content,
                 std::vector<std::string>& hidden) {
  std::string out;
  size_t at = 0;
  const auto ranges = control.find(content);
  for (size_t i = 0; i < ranges.size();) {
    const size_t begin = ranges[i].begin;
    size_t end = ranges[i].end;
    for (++i; i < ranges.size() && ranges[i].begin < end; ++i) end = std::max(end, ranges[i].end);
    out += content.substr(at, begin - at) + stand_in(hidden.size());
    hidden.push_back(content.substr(begin, end - begin));
    at = end;
  }
  return out + content.substr(at);
}

// Puts the hidden texts back as input, whatever the engine thought of where they came from.
// Nothing when a stand-in has been damaged.
std::optional<MarkedText> reveal(const MarkedText& masked, const std::vector<std::string>& hidden) {
  MarkedText out;
  for (size_t i = 0; i < masked.text.size();) {
    if (masked.text[i] != '\xFF') {
      out.append(masked.text.substr(i, 1), masked.is_input[i]);
      ++i;
      continue;
    }
    const size_t end = masked.text.find('\xFF', i + 1);
    if (end == std::string::npos) return std::nullopt;
    const std::string number = masked.text.substr(i + 1, end - i - 1);
    size_t index = 0;
    for (const char c : number) {
      if (c < '0' || c > '9' || index >= hidden.size()) return std::nullopt;
      index = index * 10 + static_cast<size_t>(c - '0');
    }
    if (number.empty() || index >= hidden.size()) return std::nullopt;
    out.append(hidden[index], true);
    i = end + 1;
  }
  return out;
}

std::vector<ChatSegment> cut(const MarkedText& marked, const ControlTexts& control) {
  std::vector<bool> is_unsafe(marked.text.size(), false);
  for (const auto& [begin, end] : control.find(marked.text)) {
    for (size_t i = begin; i < end; ++i) is_unsafe[i] = is_unsafe[i] || marked.is_input[i];
  }
  std::vector<ChatSegment> segments;
  for (size_t i = 0; i < marked.text.size(); ++i) {
    if (segments.empty() || segments.back().is_input != is_unsafe[i]) {
      segments.push_back({"", is_unsafe[i]});
    }
    segments.back().text += marked.text[i];
  }
  return segments;
}

jinja::value message_value(const ChatMessage& message) {
  auto content = jinja::mk_val<jinja::value_string>(message.content);
  content->mark_input();
  auto out = jinja::mk_val<jinja::value_object>();
  out->insert("role", jinja::mk_val<jinja::value_string>(message.role));
  out->insert("content", content);
  return out;
}

}  // namespace

namespace {

MarkedText execute(const std::string& name, const jinja::program& program,
                   const std::shared_ptr<std::string>& source, const std::string& bos,
                   const std::string& eos, std::span<const ChatMessage> messages,
                   bool add_generation_prompt) {
  try {
    jinja::context context;
    context.src = source;
    auto list = jinja::mk_val<jinja::value_array>();
    for (const ChatMessage& message : messages) list->push_back(message_value(message));
    context.set_val("messages", list);
    context.set_val("add_generation_prompt",
                    jinja::mk_val<jinja::value_bool>(add_generation_prompt));
    context.set_val("tools", jinja::mk_val<jinja::value_none>());
    context.set_val("documents", jinja::mk_val<jinja::value_none>());
    // As in transformers a token that the model lacks is no variable at all.
    if (!bos.empty()) context.set_val("bos_token", jinja::mk_val<jinja::value_string>(bos));
    if (!eos.empty()) context.set_val("eos_token", jinja::mk_val<jinja::value_string>(eos));
    RenderGuard guard(messages.size());
    guard.install(context);
    const auto parts =
        jinja::runtime::gather_string_parts(jinja::runtime(context).execute(program));
    MarkedText out;
    for (const auto& part : parts->val_str.parts) out.append(part.val, part.is_input);
    return out;
  } catch (const std::bad_alloc&) {
    throw;  // no fault of the template
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}", name, one_line(e.what())));
  }
}

}  // namespace

ChatTemplate ChatTemplate::parse(std::string name, std::string source, SpecialTexts special) {
  if (source.size() > kMaxBytes) {
    throw Error(fmt::format("{}: the chat template has {} bytes, {} are allowed; give another one",
                            name, source.size(), kMaxBytes));
  }
  if (source.find('\xFF') != std::string::npos || source.find('\0') != std::string::npos) {
    throw Error(name + ": the chat template is no UTF-8 text; give another one");
  }
  auto program = std::make_shared<Program>();
  try {
    jinja::lexer_result lexed = jinja::lexer().tokenize(source);
    guard_tokens(lexed);
    program->body = jinja::parse_from_tokens(lexed);
    program->lexed_source = std::make_shared<std::string>(std::move(lexed.source));
  } catch (const std::bad_alloc&) {
    throw;  // no fault of the template
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}; correct the chat template", name, one_line(e.what())));
  }
  program->name = std::move(name);
  program->source = std::move(source);
  program->bos = std::move(special.bos);
  program->eos = std::move(special.eos);
  program->control = ControlTexts(special.control);
  return ChatTemplate(std::move(program));
}

ChatTemplate ChatTemplate::from_model(const GgufFile& model, SpecialTexts special) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  if (!model.has(kKey)) {
    throw Error(fmt::format(
        "{}: the model has no chat template; name one with --chat-template NAME|FILE (known: {}), "
        "or give the prompt as it is with --raw",
        model.path(), fmt::join(names(), ", ")));
  }
  return parse(fmt::format("{}: {}", model.path(), kKey), model.string(kKey), std::move(special));
}

ChatTemplate ChatTemplate::from_name(std::string_view name, SpecialTexts special) {
  for (const NamedChatTemplate& known : named_chat_templates()) {
    if (known.name == name) {
      return parse(fmt::format("chat template '{}'", name), std::string(known.source),
                   std::move(special));
    }
  }
  throw Error(fmt::format(
      "--chat-template {}: neither a file nor a known name, did you mean '{}'? Known: {}", name,
      nearest_chat_template(name), fmt::join(names(), ", ")));
}

ChatTemplate ChatTemplate::from_file(const std::string& path, SpecialTexts special) {
  std::error_code ignored;
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path, ignored)) {
    throw Error(
        fmt::format("--chat-template {}: the file cannot be read; check its name and "
                    "permissions",
                    path));
  }
  // One byte more than allowed tells a large file from one of the largest size; its own size says
  // nothing for a pipe.
  std::string source(kMaxBytes + 1, '\0');
  in.read(source.data(), static_cast<std::streamsize>(source.size()));
  source.resize(static_cast<size_t>(in.gcount()));
  if (in.bad()) throw Error(fmt::format("--chat-template {}: reading failed; try again", path));
  if (source.size() > kMaxBytes) {
    throw Error(
        fmt::format("--chat-template {}: the file has more than {} bytes; that is no chat "
                    "template",
                    path, kMaxBytes));
  }
  return parse(path, std::move(source), std::move(special));
}

ChatTemplate ChatTemplate::from_name_or_file(const std::string& value, SpecialTexts special) {
  const auto known = names();
  const bool is_name = std::find(known.begin(), known.end(), value) != known.end();
  std::error_code ignored;
  if (!is_name && std::filesystem::exists(value, ignored)) {
    return from_file(value, std::move(special));
  }
  return from_name(value, std::move(special));
}

std::vector<std::string_view> ChatTemplate::names() {
  std::vector<std::string_view> out;
  for (const NamedChatTemplate& known : named_chat_templates()) out.push_back(known.name);
  return out;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages,
                                 bool add_generation_prompt) const {
  const Program& p = *program_;
  check(p.name, messages);
  return execute(p.name, p.body, p.lexed_source, p.bos, p.eos, messages, add_generation_prompt)
      .text;
}

std::vector<ChatSegment> ChatTemplate::render_parts(std::span<const ChatMessage> messages,
                                                    bool add_generation_prompt) const {
  const Program& p = *program_;
  check(p.name, messages);
  const auto run = [&](std::span<const ChatMessage> list) {
    return execute(p.name, p.body, p.lexed_source, p.bos, p.eos, list, add_generation_prompt);
  };
  const MarkedText plain = run(messages);
  // The engine marks where text came from, but loses the mark in split(), indexing and tojson. A
  // stand-in cannot get lost; it costs a second run, only when a message quotes a control token.
  std::vector<std::string> hidden;
  std::vector<ChatMessage> masked(messages.begin(), messages.end());
  for (ChatMessage& message : masked) message.content = hide(p.control, message.content, hidden);
  if (hidden.empty()) return cut(plain, p.control);
  const auto marked = reveal(run(masked), hidden);
  if (!marked || marked->text != plain.text) {
    throw Error(
        fmt::format("{}: the chat template reads or changes '{}' inside a message, so it "
                    "could pass for a control token; take it out of the message",
                    p.name, hidden.front()));
  }
  return cut(*marked, p.control);
}

const std::string& ChatTemplate::source() const { return program_->source; }

}  // namespace reprise
