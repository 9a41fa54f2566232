#pragma once

#include <stdexcept>

namespace reprise {

// Thrown to leave work that Ctrl-C has ended; main() turns it into exit code 130.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

// From now on the first Ctrl-C (SIGINT) only sets a mark; a second one before the mark is cleared
// ends the process as usual. SIGPIPE and SIGXFSZ are ignored: what cannot be written is an error.
void install_interrupt_handler();
bool was_interrupted();
void clear_interrupt();
// Throws Interrupted when the mark is set.
void throw_if_interrupted();

}  // namespace reprise
