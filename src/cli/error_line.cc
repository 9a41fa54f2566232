#include "cli/error_line.h"

#include <new>

namespace reprise {

std::string error_line(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) == nullptr) return error.what();
  return "out of memory; take a smaller model or, where the verb has these flags, leave the "
         "weights "
         "in the file's pages (--mmap on) and lower --ctx";
}

}  // namespace reprise
