#pragma once

#include "policies/registry.h"

namespace reprise {

// AdaBlock's rule with tokens that hold a digit as its delimiters: spans as adaptive as
// AdaBlock's whose ends mean nothing. Source: ours, after AdaBlock-dLLM, arXiv 2509.26432.
extern const PolicyEntry kWrongDelimiterSpan;

}  // namespace reprise
