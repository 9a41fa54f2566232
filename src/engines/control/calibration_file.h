#pragma once

#include <cstdint>
#include <span>
#include <string>
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
  // "reprise calibrate pusht-demo --sampler ddim:steps=20", which errors tell the user to run.
  std::string command() const;
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

// Reads and checks all of it. Throws Error that names the command when the file is missing, damaged
// or of another model, sampler, K, timesteps or number of layers, or holds numbers that no
// measurement gives.
CalibrationRecord read_calibration(const std::string& path, const CalibrationSubject& subject);

// The usual places, the first to look at first: MODEL.branch.gguf beside the model and in the data
// folder ($XDG_DATA_HOME/reprise; left out where nothing says where that is).
std::vector<std::string> calibration_places(const std::string& model_path);

// Where a new one goes: the first of them in a folder that may be written. Makes the data folder.
// Throws Error when there is none.
std::string calibration_place(const std::string& model_path);

// The calibration of `file`, or when that is empty the first in the usual places that is of this
// subject. Throws the Error of the first file, or one that names the places and the command.
CalibrationRecord load_calibration(const std::string& file, const std::string& model_path,
                                   const CalibrationSubject& subject);

}  // namespace reprise
