#pragma once

#include <cstdint>

namespace reprise {

// How often this process asked for heap memory so far: malloc and its relatives, from our code and
// from every library, operator new included. Built with a sanitizer, which owns malloc, it counts
// operator new alone. Only in test programs that compile counting_new_test.cc, which replaces them.
int64_t count_allocations();

}  // namespace reprise
