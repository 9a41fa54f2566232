#include "cli/interrupt.h"

#include <csignal>

namespace reprise {
namespace {

volatile std::sig_atomic_t n_interrupts = 0;

void on_interrupt(int /*signal*/) {
  n_interrupts = n_interrupts + 1;
  if (n_interrupts < 2) return;
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // no SA_RESTART: a read from the terminal returns
  sigaction(SIGINT, &action, nullptr);
  // Writes fail instead: an error can be told, and a begun file taken away.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool was_interrupted() { return n_interrupts > 0; }
void clear_interrupt() { n_interrupts = 0; }
void throw_if_interrupted() {
  if (was_interrupted()) throw Interrupted();
}

}  // namespace reprise
