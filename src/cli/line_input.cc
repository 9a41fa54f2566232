#include "cli/line_input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <filesystem>
#include <string_view>
#include <vector>

#include "cli/interrupt.h"
#include "core/atomic_file.h"
#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

constexpr int kHistoryLines = 1000;
constexpr size_t kMaxHistoryBytes = size_t{16} << 20;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// The last lines of the file, which is cut when it has become much longer.
std::vector<std::string> load_history(const std::string& path) {
  std::error_code ignored;
  if (path.empty() || !fs::is_regular_file(path, ignored)) return {};
  try {
    std::vector<std::string> lines = lines_of(read_file(path, kMaxHistoryBytes));
    if (lines.size() > 2 * kHistoryLines) {
      lines.erase(lines.begin(), lines.end() - kHistoryLines);
      const std::string text = fmt::format("{}\n", fmt::join(lines, "\n"));
      write_file(path, std::as_bytes(std::span(text)));
      fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write, ignored);
    }
    return lines;
  } catch (const Error&) {
    return {};
  }
}

// One write behind the end, so that several chats may share the file. Others may not read it.
void append_history(const std::string& path, const std::string& line) {
  if (path.empty()) return;
  std::error_code ignored;
  fs::create_directories(fs::path(path).parent_path(), ignored);
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  const std::string text = line + "\n";
  [[maybe_unused]] const ssize_t n = write(file, text.data(), text.size());
  close(file);
}

// libedit turns bytes into characters by the locale.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

// One character from the terminal; Ctrl-C ends the wait, which libedit's own reader would resume.
int read_character(EditLine* editor, wchar_t* character) {
  constexpr int kLookMs = 100;  // a signal just before the wait, or on another thread, ends no wait
  std::mbstate_t state{};
  for (;;) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int n_ready = poll(&input, 1, kLookMs);
    if (was_interrupted()) return -1;
    if (n_ready == 0) continue;
    if (n_ready < 0) {
      el_set(editor, EL_REFRESH);  // the window's size changed, or the program goes on after Ctrl-Z
      continue;
    }
    char byte = 0;
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n <= 0) return static_cast<int>(n);
    const size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == static_cast<size_t>(-2)) continue;  // inside a character
    if (used == static_cast<size_t>(-1)) *character = 0xFFFD;
    return 1;
  }
}

}  // namespace

class LineInput::Editor {
 public:
  Editor(std::string prompt, std::string history_path, FILE* out)
      : prompt_(std::move(prompt)), path_(std::move(history_path)), out_(out) {
    use_utf8();
    editor_ = el_init("reprise", stdin, out, stderr);
    history_ = history_init();
    if (editor_ == nullptr || history_ == nullptr) throw Error("the terminal cannot be set up");
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);
    for (const std::string& line : load_history(path_)) {
      history(history_, &event, H_ENTER, line.c_str());
    }
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &Editor::show_prompt);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_SIGNAL, 1);
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_GETCFN, &read_character);
    el_source(editor_, nullptr);  // the user's ~/.editrc
  }
  ~Editor() {
    history_end(history_);
    el_end(editor_);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  LineEvent read(std::string& line) {
    el_resize(editor_);
    int n = 0;
    const char* text = el_gets(editor_, &n);
    if (was_interrupted()) {
      clear_interrupt();
      el_reset(editor_);
      fmt::print(out_, "^C\n");
      return LineEvent::kInterrupted;
    }
    if (text == nullptr) {
      fmt::print(out_, "\n");
      return LineEvent::kEnd;
    }
    line = text;
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(' ') != std::string::npos) {
      HistEvent event;
      history(history_, &event, H_ENTER, line.c_str());
      append_history(path_, line);
    }
    return LineEvent::kLine;
  }

 private:
  static char* show_prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<Editor*>(self)->prompt_.data();
  }

  std::string prompt_;
  std::string path_;
  FILE* out_;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
};

LineInput::LineInput(std::string prompt, std::string history_path) {
  FILE* out = isatty(STDOUT_FILENO) == 1 ? stdout : stderr;  // the prompt stays out of a file
  if (isatty(STDIN_FILENO) == 1 && isatty(fileno(out)) == 1) {
    editor_ = std::make_unique<Editor>(std::move(prompt), std::move(history_path), out);
  }
}

LineInput::~LineInput() = default;

LineEvent LineInput::read(std::string& line) {
  if (editor_) return editor_->read(line);
  line.clear();
  char part[4096];
  while (std::fgets(part, sizeof part, stdin) != nullptr) {
    line += part;
    if (line.ends_with('\n')) {
      line.pop_back();
      return LineEvent::kLine;
    }
  }
  if (was_interrupted()) {
    clear_interrupt();
    return LineEvent::kInterrupted;
  }
  if (std::ferror(stdin) != 0) {
    throw Error(fmt::format("standard input cannot be read: {}", std::strerror(errno)));
  }
  return line.empty() ? LineEvent::kEnd : LineEvent::kLine;
}

std::string history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state != '\0') return fs::path(state) / "reprise" / "history";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return "";
  return fs::path(home) / ".local" / "state" / "reprise" / "history";
}

}  // namespace reprise
