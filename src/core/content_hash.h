#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace reprise {

// A number that tells contents apart, to bind what was measured of a model to that model. It says
// nothing against somebody who wants two contents to look the same.
// Source: FNV-1a of 64 bits, Fowler, Noll and Vo.
class ContentHash {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) {
      value_ ^= std::to_integer<uint64_t>(b);
      value_ *= 0x100000001B3U;
    }
  }
  uint64_t value() const { return value_; }
  // 16 hexadecimal digits.
  std::string hex() const;

 private:
  uint64_t value_ = 0xCBF29CE484222325U;
};

}  // namespace reprise
