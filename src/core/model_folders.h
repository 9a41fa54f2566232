#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// A folder in which models are looked up by name.
struct ModelFolder {
  enum class Kind : uint8_t { kData, kInstalled, kSource };
  std::string path;
  Kind kind = Kind::kData;
};
// "data folder", "installed", "source tree"
std::string_view to_string(ModelFolder::Kind kind);

// Where `reprise pull` puts models: $XDG_DATA_HOME/reprise/models, by default under
// ~/.local/share. Throws Error when neither variable says where that is.
std::string data_model_folder();

// Every folder in the order of lookup: the data folder, the share folder beside the running
// program, and the source tree's models/ when the program runs out of its build folder. Those that
// do not exist are in it too.
std::vector<ModelFolder> model_folders();

// How the name of a model's calibration ends, which stands beside it and is no model.
inline constexpr std::string_view kCalibrationSuffix = ".branch.gguf";

// A GGUF file in such a folder or in a folder of its own there (recall/recall.gguf).
struct LocalModel {
  // Of the catalogue, else in a folder of its own the file's without weight type ("dllm-demo" for
  // dllm-demo.Q8_0.gguf) if it has one, else the folder's; the file's without .gguf otherwise.
  std::string name;
  std::string path;
  int64_t n_bytes = 0;
  ModelFolder::Kind found_in = ModelFolder::Kind::kData;
  bool is_shadowed = false;  // a model before it has the same name
};

// The models in these folders, folder by folder, each sorted by path. Folders that cannot be read
// have none.
std::vector<LocalModel> local_models(std::span<const ModelFolder> folders);

// The path of a model given as a path or a name: of the catalogue, of the file with or without
// .gguf, or of the file's own folder, where it needs no weight type either; small and capital
// letters are the same. An existing file comes before names, and so does a checkpoint: an existing
// folder with a config.json. Throws Error with the nearest known name, and how to pull a model that
// the catalogue has and the folders have not.
std::string find_model(const std::string& name, std::span<const ModelFolder> folders);
// The same in model_folders().
std::string find_model(const std::string& name);

// What a command line may call the model of this path: `name`, which its file gives it, may belong
// to another one or to none.
std::string name_or_path(const std::string& name, const std::string& path);

}  // namespace reprise
