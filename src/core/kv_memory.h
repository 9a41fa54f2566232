#pragma once

#include <algorithm>
#include <cstdint>

#include "core/kv_areas.h"
#include "core/kv_placement.h"

namespace reprise {

// Counts the bytes that the KV cache of one sequence holds: blocks, staging, pages, orders and
// scores. Everything that stores them takes a KvBytes from here. Says also where blocks live.
class KvMemory {
 public:
  explicit KvMemory(const KvPlacement& placement = {}) : placement_(placement) {}

  const KvPlacement& placement() const { return placement_; }
  int64_t current() const { return current_; }
  int64_t peak() const { return peak_; }
  // Where blocks on the CPU stand.
  KvAreas& areas() { return areas_; }
  // The peak counts from now on.
  void reset_peak() { peak_ = current_; }

 private:
  friend class KvBytes;
  void add(int64_t n_bytes) { peak_ = std::max(peak_, current_ += n_bytes); }

  KvPlacement placement_;
  KvAreas areas_;
  int64_t current_ = 0;
  int64_t peak_ = 0;
};

// A number of bytes held while this object lives. The memory must outlive it.
class KvBytes {
 public:
  KvBytes(KvMemory& memory, int64_t n_bytes) : memory_(&memory), n_bytes_(n_bytes) {
    memory_->add(n_bytes_);
  }
  KvBytes(KvBytes&& other) noexcept : memory_(other.memory_), n_bytes_(other.n_bytes_) {
    other.n_bytes_ = 0;
  }
  KvBytes& operator=(KvBytes&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(n_bytes_, other.n_bytes_);
    return *this;
  }
  ~KvBytes() { memory_->add(-n_bytes_); }

 private:
  KvMemory* memory_;
  int64_t n_bytes_;
};

}  // namespace reprise
