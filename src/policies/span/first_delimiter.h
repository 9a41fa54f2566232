#pragma once

#include "policies/registry.h"

namespace reprise {

// AdaBlock's rule with the first delimiter of the window in the place of the most confident one:
// below tau_d it ends no span, and later ones are not asked. A control of what looking for the most
// confident one is worth. Source: ours, after AdaBlock-dLLM, arXiv 2509.26432.
extern const PolicyEntry kFirstDelimiterSpan;

}  // namespace reprise
