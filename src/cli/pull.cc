#include "cli/pull.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/interrupt.h"
#include "core/error.h"
#include "core/model_catalogue.h"
#include "core/model_folders.h"
#include "core/program_place.h"

namespace reprise {
namespace {

struct PullFlags {
  std::string name;
  bool accepts_terms = false;
};

std::string script_path() {
  const ProgramPlace place = program_place();
  const std::filesystem::path script =
      place.source.empty() ? place.share / "pull_model.py" : place.source / "tools/pull_model.py";
  std::error_code error;
  if (std::filesystem::is_regular_file(script, error)) return script.string();
  throw Error(fmt::format("pull: {} is missing, it comes with the program; install Reprise again",
                          script.string()));
}

// Python takes over this process: pip is the only way to the packages, and this way the script's
// exit code, streams and Ctrl-C are the program's own.
void pull(const PullFlags& flags) {
  const CatalogueModel model = catalogue_model(flags.name);
  std::vector<std::string> arguments = {"python3", script_path(), "--folder", data_model_folder()};
  if (flags.accepts_terms) arguments.emplace_back("--accept-terms");
  if (!spdlog::should_log(spdlog::level::info)) arguments.emplace_back("--quiet");
  if (spdlog::should_log(spdlog::level::debug)) arguments.emplace_back("--verbose");
  arguments.push_back(model.entry);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  // Ctrl-C waits until the script can clean up after it.
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  sigprocmask(SIG_BLOCK, &interrupt, nullptr);
  throw_if_interrupted();
  execvp(argv.front(), argv.data());
  throw Error(
      fmt::format("pull: python3 cannot be started: {}; install it (Debian: apt install "
                  "python3 python3-pip)",
                  std::strerror(errno)));
}

}  // namespace

void add_pull(CLI::App& app, int& /*exit_code*/) {
  auto flags = std::make_shared<PullFlags>();
  CLI::App* verb = app.add_subcommand("pull", "fetch a small real model and check its hash");
  verb->add_option("name", flags->name, "name of the model; 'reprise list' shows them all")
      ->required();
  verb->add_flag(
      "--accept-terms", flags->accepts_terms,
      "accept the model's terms of use, for scripts; else they are shown and asked once");
  verb->footer(
      "Examples:\n"
      "  reprise pull smollm2\n"
      "  reprise pull gemma3-270m --accept-terms");
  verb->callback([flags] { pull(*flags); });
}

}  // namespace reprise
