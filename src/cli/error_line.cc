#include "cli/error_line.h"

#include <new>

namespace reprise {

std::string error_line(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) == nullptr) return error.what();
  return "out of memory; leave the weights in the file's pages (--mmap on), lower --ctx, or take a "
         "smaller model";
}

}  // namespace reprise
