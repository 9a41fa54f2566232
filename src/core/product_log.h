#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "core/ledger.h"
#include "ggml.h"

namespace reprise {

inline constexpr std::string_view kGgmlProduct = "ggml's product";

// Which kernels multiplied which weights: told by whoever builds a graph's nodes, where a product's
// kernel is chosen, through Backend::set_products(). A matrix stands under every kernel that
// multiplied it, and once under each, however often that was.
class ProductLog {
 public:
  // kPrompt: several tokens at once. kDecode: one, as in decoding and, behind the last layer's
  // attention, at the end of a prompt.
  enum class Phase : uint8_t { kPrompt, kDecode };

  struct Entry {
    Phase phase;
    std::string_view kernel;              // kGgmlProduct, or what one of ours is called
    ggml_type type;                       // of the weights
    std::set<const void*> matrices = {};  // by their data
    int64_t n_bytes = 0;                  // of all of them

    auto n() const { return static_cast<int64_t>(matrices.size()); }
  };

  // `kernel` must outlive the log: a literal.
  void add(Phase phase, std::string_view kernel, const ggml_tensor& w);

  const std::vector<Entry>& entries() const { return entries_; }
  // Matrices that ggml's product multiplied.
  int64_t n_by_ggml(Phase phase) const;

 private:
  std::vector<Entry> entries_;
};

std::string_view phase_name(ProductLog::Phase phase);

// A list "products" and counts of ggml's products for JSON; and a line under the table when weights
// have a type that no kernel of ours multiplies, so that ggml's product was taken.
void add_products(const ProductLog& log, Ledger& ledger);

}  // namespace reprise
