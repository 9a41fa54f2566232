#pragma once

#include <stdexcept>
#include <string>

namespace reprise {

// What was wrong, where, and what to do about it, in one line for the user. Thrown at the boundary
// where outside data enters (files, flags, requests); a broken rule of our own is an assert
// instead.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace reprise
