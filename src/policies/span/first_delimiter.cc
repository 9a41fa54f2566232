#include "policies/span/first_delimiter.h"

#include "policies/span/adablock.h"

namespace reprise {

const PolicyEntry kFirstDelimiterSpan = {
    .name = "span/first_delimiter",
    .summary = "span/adablock that asks the first line break ahead and no other",
    .source = "ours, a control of span/adablock",
    .when_to_use = "in benches, to see what choosing the most confident line break is worth",
    .when_not = "real work; span/adablock:pick=first_above is the useful relative",
    .options = adablock_options("pick"),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      AdaBlockConfig config = adablock_config(o, "pick");
      config.pick = AdaBlockConfig::Pick::kFirst;
      return std::make_unique<AdaBlockSpan>(kFirstDelimiterSpan.name, config);
    }};

}  // namespace reprise
