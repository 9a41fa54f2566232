#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "engines/generate/named_policy.h"
#include "engines/generate/recall_prompt.h"
#include "engines/generate/tokens_read.h"
#include "engines/text_model.h"

namespace reprise {

// The text of a policy with its budget replaced: ("cake:budget=8,gamma=0", 9) is
// "cake:budget=9,gamma=0".
std::string with_budget(std::string_view text, const Budget& budget);

// The policies with the budgets of all evicting ones scaled until they hold as many bytes of KV
// entries as the first evicting one, measured on the prompts of `sample` (protocol `last`, layers
// that a policy may cut). Budgets in entries are whole, so what is left is at most half an entry a
// layer; a policy that cannot reach the bytes, because it holds the whole prompt, stays as near as
// it gets. Throws Error when a scaled budget is too small, and what `read` throws.
std::vector<NamedPolicy> at_equal_bytes(const TextModel& model, const Backend& backend,
                                        std::vector<NamedPolicy> policies,
                                        std::span<const RecallCase> sample, const TokensRead& read);

}  // namespace reprise
