#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engines/generate/agreement.h"

namespace reprise {

// How far what attention gives under a policy is from what it gives with the full cache: in every
// layer |policy - full| / |full| (L2 norms over all heads), token by token. From the second layer
// on it holds what the layers below have changed, too.
class AttentionError {
 public:
  // Takes what attention gave to n tokens, [width, n_layer, n_tokens] of both. A layer that gave
  // nothing but zeros to the full cache's token is left out. Throws Error when the sizes do not
  // fit.
  void add(std::span<const float> full, std::span<const float> policy, int32_t n_layer,
           int32_t n_tokens);
  const std::vector<Mean>& layers() const { return layers_; }  // [n_layer]; empty before add()

 private:
  std::vector<Mean> layers_;
};

}  // namespace reprise
