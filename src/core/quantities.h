#pragma once

#include <cstdint>
#include <string>

namespace reprise {

// Numbers as people read them.
std::string format_count(int64_t n);        // 30,720
std::string format_bytes(int64_t n_bytes);  // 512 B, 22.5 MiB
std::string format_seconds(double s);       // 12 us, 35 ms, 2.1 s, 3 min 5 s

}  // namespace reprise
