#include "core/strict_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/printable.h"

namespace reprise {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 64;

}  // namespace

Json parse_strict_json(const std::string& name, std::string_view text) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, Json::parse_event_t event, const Json& value) {
    using Event = Json::parse_event_t;
    const bool is_start = event == Event::object_start || event == Event::array_start;
    if (is_start && depth >= kMaxDepth) {
      throw Error(fmt::format("{}: the JSON is more than {} levels deep; fetch the file again",
                              name, kMaxDepth));
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) {
      throw Error(fmt::format("{}: key '{}' stands twice; fetch the file again", name,
                              printable(value.get_ref<const std::string&>())));
    }
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::exception& error) {
    throw Error(fmt::format("{}: is no JSON ({}); fetch the file again", name,
                            printable(std::string_view(error.what()))));
  }
}

Json read_strict_json(const std::string& path) {
  const MappedFile file(path);
  Json json = parse_strict_json(
      path, {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  if (!json.is_object()) {
    throw Error(fmt::format("{}: is a JSON {}, expected an object; fetch the file again", path,
                            json.type_name()));
  }
  return json;
}

}  // namespace reprise
