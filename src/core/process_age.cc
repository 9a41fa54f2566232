#include "core/process_age.h"

#include <unistd.h>

#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace reprise {

double process_age_s() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  // The second field is the program's name in parentheses, which may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
  constexpr int kStartField = 22;  // in ticks since boot; counted from 1, the name is 2
  std::string field;
  for (int i = 3; i <= kStartField; ++i) fields >> field;
  timespec now{};
  const long ticks_a_second = sysconf(_SC_CLK_TCK);
  if (!fields || ticks_a_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  const double started_s = std::stod(field) / static_cast<double>(ticks_a_second);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - started_s;
}

}  // namespace reprise
