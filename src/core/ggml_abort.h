#pragma once

namespace reprise {

// ggml ends the process where an allocation of its own fails or an assertion of its does. Programs
// call this once at start: memory that ran out becomes one line on standard error and exit code 1;
// anything else is a defect, one line that asks for a report, and SIGABRT as before.
void install_ggml_abort_handler();

}  // namespace reprise
