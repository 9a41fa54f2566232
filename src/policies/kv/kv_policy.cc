#include "policies/kv/kv_policy.h"

namespace reprise {

double KvPolicy::preference(const KvLayerView& /*layer*/) const { return 1; }

}  // namespace reprise
