#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace reprise {

// JSON from outside: at most 64 levels deep, and no key twice in one object (a later one would
// silently win). `name` stands in errors. Throws Error.
nlohmann::json parse_strict_json(const std::string& name, std::string_view text);

// The same of a whole file, whose outermost value is an object. Throws Error.
nlohmann::json read_strict_json(const std::string& path);

}  // namespace reprise
