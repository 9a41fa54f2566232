#include "core/model_folders.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/lower_ascii.h"
#include "core/model_catalogue.h"
#include "core/nearest.h"
#include "core/program_place.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLeastBeginning = 3;  // of a name, in characters, to tell which one is meant

bool is_same(std::string_view a, std::string_view b) { return lower_ascii(a) == lower_ascii(b); }

// An absolute path in the variable; the XDG base directory specification wants others ignored.
fs::path folder_in(const char* variable) {
  const char* const value = std::getenv(variable);
  const fs::path path = value == nullptr ? "" : value;
  return path.is_absolute() ? path : fs::path();
}

fs::path data_folder() {
  fs::path data = folder_in("XDG_DATA_HOME");
  if (!data.empty()) return data;
  const fs::path home = folder_in("HOME");
  return home.empty() ? fs::path() : home / ".local" / "share";
}

// "dllm-demo" of "dllm-demo.Q8_0": a stem without the weight type behind its last dot; empty when
// there is none.
std::string without_weight_type(const std::string& stem) {
  const size_t dot = stem.rfind('.');
  if (dot == std::string::npos || dot == 0) return "";
  const std::string type = lower_ascii(stem.substr(dot + 1));
  const bool is_type = type == "f32" || type == "f16" || type == "bf16" ||
                       (type.size() >= 2 && type[0] == 'q' && type[1] >= '1' && type[1] <= '8') ||
                       type.starts_with("iq");
  return is_type ? stem.substr(0, dot) : "";
}

// A model and every name it answers to, the one to show first.
struct NamedModel {
  LocalModel model;
  std::vector<std::string> names;

  bool answers_to(std::string_view name) const {
    return std::ranges::any_of(names, [&](const std::string& n) { return is_same(n, name); });
  }
};

bool is_model(const fs::directory_entry& entry) {
  std::error_code error;
  const std::string name = lower_ascii(entry.path().filename().string());
  return entry.is_regular_file(error) && name.ends_with(".gguf") && !name.starts_with('.') &&
         !name.ends_with(kCalibrationSuffix);
}

std::vector<fs::directory_entry> sorted_entries(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    entries.push_back(*at);
  }
  std::ranges::sort(entries);
  return entries;
}

NamedModel named_model(const fs::path& path, ModelFolder::Kind kind, const std::string& own_folder,
                       std::span<const CatalogueModel> catalogue) {
  NamedModel out;
  const std::string file = path.filename().string();
  for (const CatalogueModel& known : catalogue) {
    if (is_same(known.file, file)) out.names.push_back(known.name);
  }
  if (!own_folder.empty()) {
    // The file's own name says more than its folder's: "pusht-demo" in "pusht".
    const std::string stem = path.stem().string();
    const std::string plain = without_weight_type(stem);
    if (!plain.empty()) out.names.push_back(plain);
    if (stem.starts_with(own_folder + '-')) out.names.push_back(stem);
    out.names.push_back(own_folder);
  }
  out.names.push_back(path.stem().string());
  out.names.push_back(file);
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  out.model = {out.names.front(), path.string(), error ? 0 : static_cast<int64_t>(size), kind};
  return out;
}

std::vector<NamedModel> named_models(std::span<const ModelFolder> folders,
                                     std::span<const CatalogueModel> catalogue) {
  std::vector<NamedModel> out;
  for (const ModelFolder& folder : folders) {
    for (const fs::directory_entry& entry : sorted_entries(folder.path)) {
      if (is_model(entry)) out.push_back(named_model(entry.path(), folder.kind, "", catalogue));
      std::error_code error;
      if (!entry.is_directory(error)) continue;
      std::vector<fs::directory_entry> inner = sorted_entries(entry.path());
      std::erase_if(inner, [](const fs::directory_entry& e) { return !is_model(e); });
      const std::string own = entry.path().filename().string();
      for (const fs::directory_entry& file : inner) {
        // Several files share the folder's name only by having it themselves.
        const bool is_named = inner.size() == 1 || is_same(file.path().stem().string(), own);
        out.push_back(named_model(file.path(), folder.kind, is_named ? own : "", catalogue));
      }
    }
  }
  return out;
}

// nullptr when the catalogue has no model that answers to the name.
const CatalogueModel* in_catalogue(std::string_view name,
                                   std::span<const CatalogueModel> catalogue) {
  const auto found = std::ranges::find_if(catalogue, [&](const CatalogueModel& known) {
    return is_same(name, known.name) || is_same(name, known.file) ||
           is_same(name, fs::path(known.file).stem().string());
  });
  return found == catalogue.end() ? nullptr : &*found;
}

// The known name that was most likely meant, mistyped or only begun; known.size() when none is
// near.
size_t closest(const std::string& name, std::span<const std::string> known) {
  std::vector<std::string> lowered;
  lowered.reserve(known.size());
  for (const std::string& word : known) lowered.push_back(lower_ascii(word));
  const std::vector<std::string_view> words(lowered.begin(), lowered.end());
  const std::string meant = lower_ascii(name);
  const std::string_view near = nearest(meant, words);
  const auto found = std::ranges::find_if(words, [&](std::string_view word) {
    return near.empty() ? meant.size() >= kLeastBeginning && word.starts_with(meant) : word == near;
  });
  return static_cast<size_t>(found - words.begin());
}

[[noreturn]] void refuse(const std::string& name, std::span<const NamedModel> here,
                         std::span<const CatalogueModel> catalogue) {
  std::error_code error;
  if (name.find('/') != std::string::npos && fs::is_directory(name, error)) {
    throw Error(fmt::format(
        "{}: is a folder without config.json; name the model file, or a checkpoint folder", name));
  }
  if (name.find('/') != std::string::npos) {
    throw Error(
        fmt::format("{}: no such file; 'reprise list' shows the models that have names", name));
  }
  if (const CatalogueModel* model = in_catalogue(name, catalogue)) {
    throw Error(fmt::format("model '{}' is not here; pull it: reprise pull {}", name, model->name));
  }
  std::vector<std::string> known;
  for (const NamedModel& model : here) {
    known.insert(known.end(), model.names.begin(), model.names.end());
  }
  const size_t n_here = known.size();
  for (const CatalogueModel& model : catalogue) known.push_back(model.name);
  const size_t at = closest(name, known);
  if (at == known.size()) {
    throw Error(fmt::format("no model '{}'; 'reprise list' shows what is here", name));
  }
  const std::string hint = at < n_here ? "'reprise list' shows what is here"
                                       : fmt::format("pull it: reprise pull {}", known[at]);
  throw Error(fmt::format("no model '{}', did you mean '{}'? {}", name, known[at], hint));
}

}  // namespace

std::string_view to_string(ModelFolder::Kind kind) {
  switch (kind) {
    case ModelFolder::Kind::kData:
      return "data folder";
    case ModelFolder::Kind::kInstalled:
      return "installed";
    case ModelFolder::Kind::kSource:
      break;
  }
  return "source tree";
}

std::string data_model_folder() {
  const fs::path data = data_folder();
  if (data.empty()) {
    throw Error(
        "neither XDG_DATA_HOME nor HOME says where models are kept; set one to an absolute path");
  }
  return (data / "reprise" / "models").string();
}

std::vector<ModelFolder> model_folders() {
  std::vector<ModelFolder> folders;
  if (const fs::path data = data_folder(); !data.empty()) {
    folders.push_back({data_model_folder(), ModelFolder::Kind::kData});
  }
  const ProgramPlace place = program_place();
  if (!place.share.empty()) {
    folders.push_back({(place.share / "models").string(), ModelFolder::Kind::kInstalled});
  }
  if (!place.source.empty()) {
    folders.push_back({(place.source / "models").string(), ModelFolder::Kind::kSource});
  }
  return folders;
}

std::vector<LocalModel> local_models(std::span<const ModelFolder> folders) {
  std::vector<LocalModel> out;
  std::set<std::string> names;
  for (NamedModel& named : named_models(folders, model_catalogue())) {
    named.model.is_shadowed = !names.insert(lower_ascii(named.model.name)).second;
    out.push_back(std::move(named.model));
  }
  return out;
}

std::string find_model(const std::string& name, std::span<const ModelFolder> folders) {
  std::error_code error;
  if (fs::exists(name, error) && !fs::is_directory(name, error)) return name;
  if (fs::is_directory(name, error) && fs::exists(fs::path(name) / "config.json", error)) {
    return name;
  }
  const std::vector<CatalogueModel> catalogue = model_catalogue();
  const std::vector<NamedModel> here = named_models(folders, catalogue);
  const auto found =
      std::ranges::find_if(here, [&](const NamedModel& model) { return model.answers_to(name); });
  if (found == here.end()) refuse(name, here, catalogue);
  return found->model.path;
}

std::string find_model(const std::string& name) { return find_model(name, model_folders()); }

std::string name_or_path(const std::string& name, const std::string& path) {
  try {
    if (find_model(name) == path) return name;
  } catch (const Error&) {  // there is none of that name
  }
  return path;
}

}  // namespace reprise
