#pragma once

#include <cstdint>

namespace reprise {

// How often operator new was called in this process. Only in test programs that compile
// counting_new_test.cc, which replaces it.
int64_t count_allocations();

}  // namespace reprise
