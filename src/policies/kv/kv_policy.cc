#include "policies/kv/kv_policy.h"

namespace reprise {

double KvPolicy::preference(const KvLayerView& /*layer*/) const { return 1; }

bool KvPolicy::falls_back(std::span<const double> /*preference*/) const { return false; }

}  // namespace reprise
