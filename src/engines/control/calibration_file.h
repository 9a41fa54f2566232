#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policies/branch/branch_policy.h"

namespace reprise {

// What similarities were measured on; they are void for anything else.
struct CalibrationSubject {
  std::string model;               // name or path that finds it, for messages only
  std::string model_hash;          // PolicyTransformerModel::hash
  std::string sampler;             // SamplerSpec::text(): "ddim:steps=20"
  std::vector<int32_t> timesteps;  // [K], of each forward in order
  int32_t n_layers = 0;
  int32_t n_of_a_layer = 3;  // branches; not in the file, for the hash says which form it is

  BranchShape shape() const {
    return {n_layers, static_cast<int32_t>(timesteps.size()), n_of_a_layer};
  }
  // "reprise calibrate pusht-demo --sampler ddim:steps=20 --metric l1 -o FILE", quoted for a shell,
  // which errors tell the user to run. No metric or output: the default.
  std::string command(std::span<const BranchMetric> metrics = {},
                      std::string_view output = {}) const;
};

struct CalibrationRecord {
  CalibrationSubject subject;
  int32_t n_calls = 0;          // uncached calls that were averaged
  std::vector<uint64_t> seeds;  // that they began from, 1..n_calls
  BranchCalibration calibration;
};

// Writes a GGUF file: who was measured as metadata, tensors "similarity.METRIC" F32
// [K (K + 1) / 2, n_branches] (the upper triangle, row by row). The file is complete or absent.
// Throws Error when it cannot be written, and on numbers that read_calibration would refuse.
void write_calibration(const std::string& path, const CalibrationRecord& record);

// What a calibration is read for.
struct CalibrationUse {
  std::optional<BranchMetric> metric = {};  // which it must hold
  bool is_named = false;                    // the user gave the file's name, with file=
};

// Reads and checks all of it. Throws Error that ends with the command that helps when the file is
// missing, damaged or of another model, sampler, K, timesteps or number of layers, lacks the metric
// or holds numbers that no measurement gives. The command overwrites no file that the user named,
// but one of this subject, and then with the metrics that it has.
CalibrationRecord read_calibration(const std::string& path, const CalibrationSubject& subject,
                                   const CalibrationUse& use = {});

// The usual places, the first to look at first: beside the model and in the data folder
// ($XDG_DATA_HOME/reprise; left out where nothing says where that is). A file a sampler:
// MODEL.branch.gguf for ddpm, MODEL.ddim-steps-20.branch.gguf for ddim:steps=20.
std::vector<std::string> calibration_places(const std::string& model_path,
                                            std::string_view sampler);

// Where a new one goes: the first of them in a folder that may be written. Makes the data folder.
// Throws Error when there is none.
std::string calibration_place(const std::string& model_path, std::string_view sampler);

// The calibration of `file`, or when that is empty the first in the usual places that is of this
// subject and holds the metric. Throws the Error of the first file, or one that names the places
// and the command.
CalibrationRecord load_calibration(const std::string& file, const std::string& model_path,
                                   const CalibrationSubject& subject, BranchMetric metric);

}  // namespace reprise
