#include "core/chat_template_guard.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/chat_template_limits.h"

namespace reprise {
namespace {

using jinja::token;

// No template can say this name: an identifier holds no space.
constexpr const char* kGuardName = "reprise guard";

[[noreturn]] void refuse(const std::string& what, const jinja::lexer_result& lexed, size_t pos) {
  throw jinja::lexer_exception(what, lexed.source, pos);
}

bool opens_tag(token::type type) {
  return type == token::open_expression || type == token::open_statement;
}

// How much deeper the blocks are after the tag tokens[begin..end): `elif` recurses like a nested
// `if` and is closed with it, which `elifs` (one count per open `if`) remembers.
class BlockDepth {
 public:
  void tag(const std::vector<token>& tokens, size_t begin, size_t end) {
    if (tokens[begin].t != token::open_statement || begin + 1 >= end) return;
    const std::string& word = tokens[begin + 1].value;
    if (word == "elif") {
      ++depth_;
      if (!elifs_.empty()) ++elifs_.back();
    } else if (word == "if") {
      ++depth_;
      elifs_.push_back(0);
    } else if (word == "endif") {
      depth_ -= depth_ > 0 ? 1 : 0;
      if (!elifs_.empty()) {
        depth_ -= elifs_.back() < depth_ ? elifs_.back() : depth_;
        elifs_.pop_back();
      }
    } else if (word == "for" || word == "macro" || word == "call" || word == "filter" ||
               (word == "set" && !assigns(tokens, begin, end))) {
      ++depth_;
    } else if (word == "endfor" || word == "endmacro" || word == "endcall" || word == "endfilter" ||
               word == "endset") {
      depth_ -= depth_ > 0 ? 1 : 0;
    }
  }
  size_t depth() const { return depth_; }

 private:
  static bool assigns(const std::vector<token>& tokens, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (tokens[i].t == token::equals) return true;
    }
    return false;
  }

  size_t depth_ = 0;
  std::vector<size_t> elifs_;
};

// The end of the tag that starts at `begin`, its closing token included.
size_t check_tag(const jinja::lexer_result& lexed, size_t begin) {
  const auto& tokens = lexed.tokens;
  size_t nesting = 0;
  size_t i = begin + 1;
  for (; i < tokens.size(); ++i) {
    const token::type type = tokens[i].t;
    if (type == token::close_expression || type == token::close_statement) return i + 1;
    if (i - begin > kMaxTagTokens) {
      refuse(fmt::format("a tag has more than {} words and signs", kMaxTagTokens), lexed,
             tokens[begin].pos);
    }
    if (type == token::open_paren || type == token::open_square_bracket ||
        type == token::open_curly_bracket) {
      if (++nesting > kMaxTagNesting) {
        refuse(fmt::format("brackets are nested more than {} deep", kMaxTagNesting), lexed,
               tokens[i].pos);
      }
    } else if (type == token::close_paren || type == token::close_square_bracket ||
               type == token::close_curly_bracket) {
      nesting -= nesting > 0 ? 1 : 0;
    }
  }
  return i;
}

bool starts_guarded_body(const std::vector<token>& tokens, size_t begin, size_t end) {
  if (tokens[begin].t != token::open_statement || begin + 1 >= end) return false;
  const std::string& word = tokens[begin + 1].value;
  return word == "for" || word == "macro" || word == "call";
}

}  // namespace

void guard_tokens(jinja::lexer_result& lexed) {
  std::vector<token> out;
  out.reserve(lexed.tokens.size());
  BlockDepth blocks;
  for (size_t i = 0; i < lexed.tokens.size();) {
    const size_t end = opens_tag(lexed.tokens[i].t) ? check_tag(lexed, i) : i + 1;
    blocks.tag(lexed.tokens, i, end);
    if (blocks.depth() > kMaxBlockNesting) {
      refuse(fmt::format("blocks are nested more than {} deep", kMaxBlockNesting), lexed,
             lexed.tokens[i].pos);
    }
    out.insert(out.end(), lexed.tokens.begin() + static_cast<ptrdiff_t>(i),
               lexed.tokens.begin() + static_cast<ptrdiff_t>(end));
    if (starts_guarded_body(lexed.tokens, i, end)) {
      const size_t pos = lexed.tokens[i].pos;
      out.push_back({token::open_expression, "{{", pos});
      out.push_back({token::identifier, kGuardName, pos});
      out.push_back({token::open_paren, "(", pos});
      out.push_back({token::close_paren, ")", pos});
      out.push_back({token::close_expression, "}}", pos});
    }
    i = end;
  }
  lexed.tokens = std::move(out);
}

namespace {

int64_t integer_argument(const jinja::func_args& args, size_t i) {
  const jinja::value value = args.get_pos(i);
  if (!jinja::is_val<jinja::value_int>(value)) {
    throw std::runtime_error("range() takes integers, got " + value->type());
  }
  return value->as_int();
}

jinja::value bounded_range(const jinja::func_args& args) {
  args.ensure_count(1, 3);
  const int64_t start = args.count() == 1 ? 0 : integer_argument(args, 0);
  const int64_t stop = integer_argument(args, args.count() == 1 ? 0 : 1);
  const int64_t step = args.count() == 3 ? integer_argument(args, 2) : 1;
  if (step == 0) throw std::runtime_error("range() has step 0");
  auto out = jinja::mk_val<jinja::value_array>();
  size_t n = 0;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (++n > kMaxRange) {
      throw std::runtime_error(fmt::format("range() has more than {} entries", kMaxRange));
    }
    out->push_back(jinja::mk_val<jinja::value_int>(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return out;
}

jinja::value format_now(const jinja::func_args& args) {
  args.ensure_vals<jinja::value_string>();
  const std::string format = args.get_pos(0)->as_string().str();
  std::tm local{};
  localtime_r(&args.ctx.current_time, &local);
  // A result of no bytes and one that does not fit look alike, hence the guard byte.
  std::array<char, 4096> buffer;
  const size_t n = std::strftime(buffer.data(), buffer.size(), ("." + format).c_str(), &local);
  if (n == 0) throw std::runtime_error("strftime_now() gives more than 4094 bytes");
  return jinja::mk_val<jinja::value_string>(std::string(buffer.data() + 1, n - 1));
}

void set_function(jinja::context& context, const std::string& name,
                  const jinja::func_handler& function) {
  context.set_val(name, jinja::mk_val<jinja::value_func>(name, function));
}

}  // namespace

RenderGuard::RenderGuard(size_t n_messages)
    : n_steps_(kMaxSteps + kStepsPerMessage * n_messages),
      steps_left_(n_steps_),
      stack_base_(__builtin_frame_address(0)) {}

void RenderGuard::step() {
  if (steps_left_-- == 0) {
    steps_left_ = 0;
    throw std::runtime_error(fmt::format("more than {} loop steps and macro calls", n_steps_));
  }
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const auto base = reinterpret_cast<uintptr_t>(stack_base_);
  if ((here < base ? base - here : here - base) > kMaxStackBytes) {
    throw std::runtime_error("macros call each other without an end");
  }
}

void RenderGuard::install(jinja::context& context) {
  set_function(context, kGuardName, [this](const jinja::func_args&) -> jinja::value {
    step();
    return jinja::mk_val<jinja::value_undefined>();
  });
  set_function(context, "range", bounded_range);
  set_function(context, "strftime_now", format_now);
}

}  // namespace reprise
