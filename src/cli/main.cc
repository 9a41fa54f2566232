#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <system_error>

#include "cli/bench.h"
#include "cli/calibrate.h"
#include "cli/chat.h"
#include "cli/control.h"
#include "cli/error_line.h"
#include "cli/eval.h"
#include "cli/exit_codes.h"
#include "cli/info.h"
#include "cli/interrupt.h"
#include "cli/list.h"
#include "cli/policies.h"
#include "cli/pull.h"
#include "cli/run.h"
#include "cli/usage_error.h"
#include "core/cpu_check.h"
#include "core/error.h"
#include "core/ggml_abort.h"
#include "core/mapped_file.h"

namespace reprise {
namespace {

void log_to_stderr(bool is_quiet, bool is_verbose) {
  auto logger = spdlog::stderr_logger_st("reprise");
  logger->set_pattern("reprise: %v");
  logger->set_level(is_quiet     ? spdlog::level::err
                    : is_verbose ? spdlog::level::debug
                                 : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

// What a table holds may still stand in a buffer: a full disk shows at the end alone.
void flush_output() {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return;
  throw Error(fmt::format("standard output cannot be written: {}", std::strerror(errno)));
}

void run_verb(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    app.exit(help);
  }
  flush_output();
}

int run_program(int argc, char** argv) {
  check_cpu();
  install_sigbus_handler();
  install_ggml_abort_handler();
  install_interrupt_handler();
  CLI::App app{"Reprise: a runtime for generative models that never computes the same thing twice"};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", REPRISE_VERSION);
  bool is_quiet = false;
  bool is_verbose = false;
  app.add_flag("-q,--quiet", is_quiet, "print errors alone besides the result");
  app.add_flag("-v,--verbose", is_verbose, "explain decisions");
  // Runs before the verb itself, when all flags are known.
  app.parse_complete_callback([&] { log_to_stderr(is_quiet, is_verbose); });
  int exit_code = 0;
  add_bench(app, exit_code);
  add_calibrate(app, exit_code);
  add_chat(app, exit_code);
  add_control(app, exit_code);
  add_eval(app, exit_code);
  add_info(app, exit_code);
  add_list(app, exit_code);
  add_policies(app, exit_code);
  add_pull(app, exit_code);
  add_run(app, exit_code);
  try {
    run_verb(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "{}\n", usage_error(app, argc, argv, error));
    return kExitUsage;
  } catch (const UsageError& error) {
    fmt::print(stderr, "reprise: {}\n", error.what());
    return kExitUsage;
  } catch (const Interrupted&) {
    fmt::print(stderr, "reprise: interrupted\n");
    return kExitInterrupted;
  } catch (const std::system_error& error) {
    // fmt throws when a table does not fit into the buffer of a full standard output.
    const bool is_output = std::ferror(stdout) != 0;
    fmt::print(
        stderr, "reprise: {}\n",
        is_output ? "standard output cannot be written: " + error.code().message() : error.what());
    return kExitFailed;
  } catch (const std::exception& error) {
    fmt::print(stderr, "reprise: {}\n", error_line(error));
    return kExitFailed;
  }
  return exit_code;
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  try {
    return reprise::run_program(argc, argv);
  } catch (const std::exception& error) {  // fmt throws when standard error cannot be written
    std::fprintf(stderr, "reprise: %s\n", error.what());
    return reprise::kExitFailed;
  }
}
