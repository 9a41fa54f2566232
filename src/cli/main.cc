#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/run.h"
#include "core/error.h"
#include "core/mapped_file.h"

int main(int argc, char** argv) {
  reprise::install_sigbus_handler();
  CLI::App app{"Reprise: a runtime for generative models that never computes the same thing twice"};
  app.require_subcommand(1);
  reprise::add_run(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "reprise: {}\n", error.what());
    return 1;
  }
  return 0;
}
