#include "policies/span/wrong_delimiter.h"

#include "policies/span/adablock.h"

namespace reprise {

const PolicyEntry kWrongDelimiterSpan = {
    .name = "span/wrong_delimiter",
    .summary = "span/adablock that takes digits for line breaks",
    .source = "ours, a control of span/adablock",
    .when_to_use = "in benches, to see what ending spans at line breaks is worth",
    .when_not = "real work",
    .options = adablock_options("delimiters"),
    .make = [](const Options& o) -> std::unique_ptr<Policy> {
      AdaBlockConfig config = adablock_config(o, "delimiters");
      config.delimiters = "digit";
      return std::make_unique<AdaBlockSpan>(kWrongDelimiterSpan.name, config);
    }};

}  // namespace reprise
