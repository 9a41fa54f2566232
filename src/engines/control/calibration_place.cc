#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "core/model_folders.h"
#include "engines/control/calibration_file.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDefaultSampler = "ddpm";

// "ddim:steps=20" as a part of a file's name: ddim-steps-20.
std::string file_word(std::string_view sampler) {
  std::string word(sampler);
  for (char& c : word) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!is_plain) c = '-';
  }
  return word;
}

// Nothing when no variable says where it is.
std::optional<fs::path> data_place() {
  try {
    return fs::path(data_model_folder()).parent_path();
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> calibration_places(const std::string& model_path,
                                            std::string_view sampler) {
  fs::path beside(model_path);
  if (beside.filename().empty()) beside = beside.parent_path();  // "folder/"
  const fs::path extension = beside.extension();
  if (extension == ".gguf" || extension == ".safetensors") beside.replace_extension();
  if (sampler != kDefaultSampler) beside += "." + file_word(sampler);
  beside += kCalibrationSuffix;
  std::vector<std::string> places = {beside.string()};
  if (const auto data = data_place()) places.push_back((*data / beside.filename()).string());
  return places;
}

std::string calibration_place(const std::string& model_path, std::string_view sampler) {
  const std::vector<std::string> places = calibration_places(model_path, sampler);
  const fs::path folder = fs::path(places.front()).parent_path();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK) == 0) return places.front();
  if (places.size() > 1) {
    std::error_code error;
    const fs::path data = fs::path(places.back()).parent_path();
    fs::create_directories(data, error);
    if (access(data.c_str(), W_OK) == 0) return places.back();
  }
  throw Error(fmt::format("a calibration may be written to none of {}; name another place",
                          fmt::join(places, ", ")));
}

CalibrationRecord load_calibration(const std::string& file, const std::string& model_path,
                                   const CalibrationSubject& subject, BranchMetric metric) {
  if (!file.empty()) return read_calibration(file, subject, {.metric = metric, .is_named = true});
  std::optional<Error> first;
  const std::vector<std::string> places = calibration_places(model_path, subject.sampler);
  for (const std::string& place : places) {
    std::error_code error;
    if (!fs::exists(place, error)) continue;
    try {
      return read_calibration(place, subject, {.metric = metric});
    } catch (const Error& e) {
      if (!first) first = e;
    }
  }
  if (first) throw Error(*first);
  throw Error(fmt::format("{} has no calibration ({}); make one: {}", subject.model,
                          fmt::join(places, ", "), subject.command({&metric, 1})));
}

}  // namespace reprise
