#include "cli/run_flags.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cli/usage_error.h"
#include "core/atomic_file.h"
#include "core/candidates.h"
#include "core/error.h"
#include "core/utf8.h"

namespace reprise {
namespace {

constexpr size_t kMaxDocumentBytes = size_t{256} << 20;

// A pipe, or a file that was redirected; no terminal and not /dev/null.
bool holds_text(int descriptor) {
  struct stat status {};
  return fstat(descriptor, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
}

// Of --file or standard input; empty when there is neither.
std::string read_document(const RunFlags& flags) {
  const bool reads_input = flags.file.empty() && holds_text(STDIN_FILENO);
  const std::string path = reads_input ? "-" : flags.file;
  if (path.empty()) return "";
  std::string document = read_file(path, kMaxDocumentBytes);
  check_utf8(document, path == "-" ? "standard input" : path);
  return document;
}

}  // namespace

void add_run_flags(CLI::App& verb, RunFlags& flags) {
  add_generate_flags(verb, flags.generate, 512);
  verb.add_option("-p,--prompt", flags.prompt, "the question or instruction")->type_name("TEXT");
  verb.add_option(
          "-f,--file", flags.file,
          "a document that comes before the question; standard input with -, or when it is a "
          "pipe or a file")
      ->type_name("FILE");
  verb.add_flag("--raw", flags.is_raw, "no chat template: continue the text as it is");
  verb.add_option("--truncate", flags.truncate, "cut an over-long prompt: middle")
      ->check(CLI::IsMember({"middle"}));
  verb.add_option("--compress-after", flags.compress_after,
                  "what the KV policy judges: the whole prompt, or the document alone, so that "
                  "the question comes after the eviction")
      ->check(CLI::IsMember({"document", "prompt"}))
      ->capture_default_str();
  verb.add_option("--stop", flags.generate.answer.stop, "text that ends the answer; repeatable")
      ->allow_extra_args(false);
  verb.add_option("--logprobs", flags.generate.answer.n_logprobs,
                  "show the N most probable tokens of every step on standard error")
      ->check(CLI::Range(1, Candidates::kMaxBest));
  add_infill_flags(verb, flags.infill);
  add_ledger_flag(verb, flags.ledger);
}

UserMessage read_message(const RunFlags& flags) {
  UserMessage user;
  user.question = flags.prompt;
  check_utf8(user.question, "--prompt");
  check_utf8(flags.generate.system, "--system");
  user.document = read_document(flags);
  while (user.document.ends_with('\n')) user.document.pop_back();
  if (user.text().empty()) {
    throw Error("nothing to answer: give a message with -p TEXT, a document with -f FILE, or both");
  }
  return user;
}

std::string read_text(const RunFlags& flags) {
  if (!flags.prompt.empty() && !flags.file.empty()) {
    throw UsageError("--infill: fills one text; give it with -p TEXT or with -f FILE");
  }
  check_utf8(flags.prompt, "--prompt");
  std::string text = flags.prompt.empty() ? read_document(flags) : flags.prompt;
  if (text.empty()) {
    throw Error("nothing to fill: give a text with gaps such as {{8}} with -p TEXT or -f FILE");
  }
  return text;
}

}  // namespace reprise
