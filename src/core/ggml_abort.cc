#include "core/ggml_abort.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "ggml.h"

namespace reprise {
namespace {

// The failed allocation is the last thing that ggml did: errno is still its own.
void on_abort(const char* message) {
  if (errno != ENOMEM) {
    std::fprintf(stderr, "reprise: ggml stopped, please report this defect: %s\n", message);
    return;
  }
  std::fprintf(stderr, "reprise: out of memory; take a smaller model or lower --ctx (%s)\n",
               message);
  _exit(1);
}

}  // namespace

void install_ggml_abort_handler() { ggml_set_abort_callback(on_abort); }

}  // namespace reprise
