#include "nets/policy_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/safetensors_file.h"
#include "nets/policy_transformer_model.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kTiny = REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny.safetensors";
constexpr const char* kTinyEncoder =
    REPRISE_SOURCE_DIR "/tests/golden/control/policy-tiny-encoder.safetensors";
constexpr const char* kDemo = REPRISE_SOURCE_DIR "/models/pusht/pusht-demo.gguf";
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};
struct Checkpoint {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;
};

Checkpoint tiny(const char* path = kTiny) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  Checkpoint out;
  for (const auto& [key, value] : file.metadata()) out.metadata.emplace(key, value);
  for (const SafetensorsTensor& tensor : file.tensors()) {
    Tensor& t = out.tensors[tensor.name];
    t.shape = tensor.shape;
    t.values.resize(tensor.n_bytes / sizeof(float));
    std::memcpy(t.values.data(), file.data(tensor).data(), tensor.n_bytes);
  }
  return out;
}

// A file that goes with its object.
class Written {
 public:
  explicit Written(const Checkpoint& checkpoint)
      : path_(fs::temp_directory_path() / fmt::format("policy-{}.safetensors", ::getpid())) {
    nlohmann::json header;
    header["__metadata__"] = checkpoint.metadata;
    size_t at = 0;
    for (const auto& [name, tensor] : checkpoint.tensors) {
      const size_t end = at + tensor.values.size() * sizeof(float);
      header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
      at = end;
    }
    const std::string text = header.dump();
    std::ofstream file(path_, std::ios::binary);
    const uint64_t n = text.size();
    file.write(reinterpret_cast<const char*>(&n), sizeof n);
    file << text;
    for (const auto& [name, tensor] : checkpoint.tensors) {
      file.write(reinterpret_cast<const char*>(tensor.values.data()),
                 static_cast<std::streamsize>(tensor.values.size() * sizeof(float)));
    }
  }
  ~Written() {
    std::error_code error;
    fs::remove(path_, error);
  }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

std::string refusal(const Checkpoint& checkpoint, PolicyWeights weights = PolicyWeights::kAsIs) {
  const Written file(checkpoint);
  try {
    PolicyTransformerModel::load(file.path(), weights);
  } catch (const Error& error) {
    return error.what();
  }
  return "taken";
}

TEST(PolicyFile, ReadsTheTinyCheckpoint) {
  const PolicyFile file = PolicyFile::read(kTiny);
  EXPECT_EQ(file.hparams, (PolicyHparams{.n_layer = 2,
                                         .n_head = 4,
                                         .n_embd = 32,
                                         .n_horizon = 6,
                                         .n_obs_steps = 3,
                                         .n_action_steps = 2,
                                         .n_obs = 5,
                                         .n_action = 3,
                                         .is_causal = true}));
  EXPECT_EQ(file.noise, NoiseScheduleSpec());
  for (int32_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(file.obs.min[i] * file.obs.scale[i] + file.obs.offset[i], -1, 1e-5);
    EXPECT_NEAR(file.obs.max[i] * file.obs.scale[i] + file.obs.offset[i], 1, 1e-5);
  }
  EXPECT_EQ(refusal(tiny()), "taken");
}

TEST(PolicyFile, ReadsTheFormWithoutADecoder) {
  const PolicyFile file = PolicyFile::read(kTinyEncoder);
  PolicyHparams want = PolicyFile::read(kTiny).hparams;
  EXPECT_FALSE(want.is_encoder_only);
  want.is_encoder_only = true;
  EXPECT_EQ(file.hparams, want);
  EXPECT_EQ(want.n_branches(), 4);
  EXPECT_EQ(want.n_rows(), 7);
  EXPECT_EQ(want.n_channels(), 8);
  EXPECT_EQ(refusal(tiny(kTinyEncoder)), "taken");
}

TEST(PolicyFile, RefusesBadFormsWithoutADecoder) {
  using Change = std::function<void(Checkpoint&)>;
  const std::pair<Change, const char*> cases[] = {
      // No tensor tells how many observations it sees.
      {[](Checkpoint& c) { c.metadata.erase("n_obs_steps"); }, "no 'n_obs_steps'"},
      {[](Checkpoint& c) { c.metadata["n_obs_steps"] = "7"; }, "beyond the horizon"},
      {[](Checkpoint& c) { c.tensors.erase("normalizer.params_dict.action.scale"); },
       "norm.action.scale"},
      {[](Checkpoint& c) {
         c.tensors["normalizer.params_dict.action.scale"] = {{9}, std::vector<float>(9, 1)};
       },
       "input_emb.weight is -1"},
      {[](Checkpoint& c) {
         c.tensors["model.encoder.layers.0.norm3.bias"] = {{32}, std::vector<float>(32)};
       },
       "'encoder.layers.0.norm3.bias'"}};
  for (const auto& [change, words] : cases) {
    Checkpoint c = tiny(kTinyEncoder);
    change(c);
    EXPECT_THAT(refusal(c), HasSubstr(words));
  }
}

TEST(PolicyFile, ReadsTheDemoModel) {
  const PolicyFile file = PolicyFile::read(kDemo);
  EXPECT_EQ(file.name, "pusht-demo");
  EXPECT_EQ(file.env, "pusht");
  EXPECT_EQ(file.control_hz, 10);
  EXPECT_EQ(file.hparams.n_embd, 128);
  EXPECT_EQ(file.hparams.n_layer, 8);
  EXPECT_EQ(file.hparams.n_horizon, 16);
  EXPECT_EQ(file.hparams.n_obs, 18);
  // Calibrations in users' hands are bound to it.
  EXPECT_EQ(policy_hash(file), "1d49196192102db2");
}

TEST(PolicyFile, HashStandsForWhatIsComputed) {
  const auto hash = [](const Checkpoint& checkpoint) {
    const Written file(checkpoint);
    return policy_hash(PolicyFile::read(file.path()));
  };
  const std::string plain = hash(tiny());
  EXPECT_EQ(plain, policy_hash(PolicyFile::read(kTiny)));
  Checkpoint named = tiny();
  named.metadata["name"] = "another name";
  EXPECT_EQ(hash(named), plain);
  const std::function<void(Checkpoint&)> changes[] = {
      [](Checkpoint& c) { c.tensors["model.head.bias"].values[0] += 1; },
      [](Checkpoint& c) { c.tensors["normalizer.params_dict.obs.scale"].values[0] *= 2; },
      [](Checkpoint& c) { c.metadata["n_head"] = "2"; },
      [](Checkpoint& c) { c.metadata["prediction_type"] = "sample"; }};
  for (const auto& change : changes) {
    Checkpoint other = tiny();
    change(other);
    EXPECT_NE(hash(other), plain);
  }
}

TEST(PolicyFile, TakesNamesWithoutModelAndIgnoresMasks) {
  Checkpoint c = tiny();
  Checkpoint renamed{c.metadata, {}};
  for (auto& [name, tensor] : c.tensors)
    renamed.tensors[name.starts_with("model.") ? name.substr(6) : name] = tensor;
  renamed.tensors["mask"] = {{6, 6}, std::vector<float>(36)};
  EXPECT_EQ(refusal(renamed), "taken");
  renamed.tensors["model.pos_emb"] = renamed.tensors["pos_emb"];
  EXPECT_THAT(refusal(renamed), HasSubstr("with and without 'model.'"));
}

// What safetensors.torch.save_file() makes of the state dict of a DiffusionTransformerLowdimPolicy:
// besides what is computed with, its masks (0 and -inf), a `_dummy_variable` without a value of
// each of the three modules that have one, and four statistics of the normaliser's data.
TEST(PolicyFile, ReadsTheStateDictOfTheReference) {
  Checkpoint c = tiny();
  std::vector<float> mask(6 * 6);
  for (size_t i = 0; i < 6; ++i) {
    for (size_t j = i + 1; j < 6; ++j) mask[i * 6 + j] = -std::numeric_limits<float>::infinity();
  }
  c.tensors["model.mask"] = {{6, 6}, mask};
  c.tensors["model.memory_mask"] = {{6, 4}, std::vector<float>(24)};
  for (const char* module : {"", "model.", "mask_generator."})
    c.tensors[fmt::format("{}_dummy_variable", module)] = {{0}, {}};
  for (const auto& [kind, n] : {std::pair("obs", 5), {"action", 3}}) {
    for (const char* statistic : {"mean", "std"}) {
      c.tensors[fmt::format("normalizer.params_dict.{}.input_stats.{}", kind, statistic)] = {
          {n}, std::vector<float>(n, 1)};
    }
  }
  c.metadata = {{"n_head", "4"}, {"n_action_steps", "2"}};
  const Written file(c);
  EXPECT_EQ(policy_hash(PolicyFile::read(file.path())), policy_hash(PolicyFile::read(kTiny)));
}

TEST(PolicyFile, RefusesSizes) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"n_head", "5", "n_emb 32 cannot be shared out over n_head 5"},
      {"n_head", "0", "n_head is 0"},
      {"n_head", "four", "'n_head' of the metadata is 'four'"},
      {"n_action_steps", "5", "n_obs_steps 3 - 1 + n_action_steps 5 is beyond the horizon of 6"},
      {"n_action_steps", "6",
       "n_action_steps 6 is the whole horizon, so that the policy was "
       "trained with pred_action_steps_only"},
      {"pred_action_steps_only", "true", "was trained with pred_action_steps_only"},
      {"n_layer", "3", "n_layer = 3, the tensors 2"},
      {"n_emb", "64", "n_emb = 64, the tensors 32"},
      {"horizon", "7", "horizon = 7, the tensors 6"},
      {"causal_attn", "maybe", "expected true or false"},
      {"num_train_timesteps", "0", "0 training timesteps"},
      {"beta_schedule", "linear", "noise schedule 'linear'"},
      {"prediction_type", "v_prediction", "prediction type 'v_prediction'"},
      {"variance_type", "learned", "variance type 'learned'"},
      {"control_hz", "0", "control rate of 0 Hz"},
      {"control_hz", "-1", "control rate of -1 Hz"},
      {"control_hz", "nan", "control rate of nan Hz"}};
  for (const auto& [key, value, words] : cases) {
    Checkpoint c = tiny();
    c.metadata[key] = value;
    EXPECT_THAT(refusal(c), HasSubstr(words)) << key;
  }
  for (const char* key : {"n_head", "n_action_steps"}) {
    Checkpoint c = tiny();
    c.metadata.erase(key);
    EXPECT_THAT(refusal(c), HasSubstr(fmt::format("no '{}'", key)));
  }
}

TEST(PolicyFile, RefusesTensors) {
  const std::string layer = "model.decoder.layers.1.";
  using Change = std::function<void(Checkpoint&)>;
  const std::pair<Change, const char*> cases[] = {
      {[&](Checkpoint& c) { c.tensors.erase(layer + "norm2.bias"); },
       "tensor 'decoder.layers.1.norm2.bias' [32] is missing"},
      {[&](Checkpoint& c) {
         c.tensors[layer + "linear2.weight"].shape = {128, 32};
       },
       "'decoder.layers.1.linear2.weight' is [128, 32], the sizes ask for [32, 128]"},
      {[&](Checkpoint& c) { c.tensors[layer + "linear1.weight"].values[7] = kNan; },
       "has nan as value 7"},
      {[&](Checkpoint& c) {
         c.tensors[layer + "linear1.bias"].values[0] = std::numeric_limits<float>::infinity();
       },
       "has inf as value 0"},
      {[](Checkpoint& c) {
         c.tensors["model.more"] = {{1}, {0}};
       },
       "'more' has no place"},
      {[](Checkpoint& c) {
         c.tensors.erase("model.encoder.0.weight");
         c.tensors["model.encoder.layers.0.norm1.bias"] = {{1}, {0}};
       },
       "n_cond_layers"},
      {[](Checkpoint& c) { c.tensors.erase("model.cond_obs_emb.weight"); }, "cond_obs_emb.weight"},
      {[](Checkpoint& c) { c.tensors["normalizer.params_dict.obs.scale"].values[2] = 0; },
       "norm.obs.scale is 0 for channel 2"},
      {[](Checkpoint& c) { c.tensors.erase("normalizer.params_dict.action.offset"); },
       "'norm.action.offset' [3] is missing"},
      {[](Checkpoint& c) {
         c.tensors["normalizer.params_dict.action.input_stats.min"].values[1] = 100;
       },
       "norm.action of channel 1 runs from 100"}};
  for (const auto& [change, words] : cases) {
    Checkpoint c = tiny();
    change(c);
    EXPECT_THAT(refusal(c), HasSubstr(words));
  }
}

TEST(PolicyFile, RefusesWhatATypeCannotHold) {
  Checkpoint c = tiny();
  c.tensors["model.decoder.layers.0.linear1.weight"].values[3] = 70000;
  EXPECT_EQ(refusal(c), "taken");
  EXPECT_THAT(refusal(c, PolicyWeights::kF16), HasSubstr("70000, beyond F16"));
}

TEST(PolicyFile, RefusesOtherModels) {
  try {
    PolicyFile::read(REPRISE_SOURCE_DIR "/models/recall/recall.gguf");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("is no robot policy"));
  }
}

}  // namespace
}  // namespace reprise
