// pusht_demonstrations: episodes of the scripted Push-T expert, as a safetensors file. README.md
// beside this file describes it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/atomic_file.h"
#include "core/error.h"
#include "engines/pusht/legacy_reset.h"
#include "engines/pusht/pusht_expert.h"

namespace reprise {
namespace {

struct Recipe {
  int32_t n_episodes = 800;
  uint32_t first_seed = 1'000'000;  // far from the published test seeds, 100000 on
  PushtExpertOptions expert;        // its seed is the episode's
  int32_t n_threads = 1;
};

// Episodes do not depend on each other, so that threads take them from a counter.
std::vector<PushtDemonstration> demonstrations(const Recipe& recipe) {
  std::vector<PushtDemonstration> episodes(recipe.n_episodes);
  PushtExpert(recipe.expert);  // refuses a bad recipe here, not on a thread
  std::atomic<int32_t> i_next = 0;
  const auto work = [&] {
    for (int32_t i = i_next++; i < recipe.n_episodes; i = i_next++) {
      PushtExpertOptions options = recipe.expert;
      const uint32_t seed = recipe.first_seed + i;
      options.seed = seed;
      episodes[i] = PushtExpert(options).demonstrate(PushtWorld(legacy_state(seed)));
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int32_t i = 1; i < recipe.n_threads; ++i) threads.emplace_back(work);
    work();
  }
  return episodes;
}

// A safetensors file of this header and these bytes. Source:
// https://github.com/huggingface/safetensors.
std::string safetensors(const nlohmann::ordered_json& header, const std::string& data) {
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begin aligned
  const uint64_t n = text.size();
  std::string length(sizeof(n), '\0');
  std::memcpy(length.data(), &n, sizeof(n));  // little endian, as every machine that we build for
  return length + text + data;
}

std::string file_of(const std::vector<PushtDemonstration>& episodes, const Recipe& recipe) {
  std::vector<double> states, actions;
  std::vector<int64_t> lengths, solved;
  for (const PushtDemonstration& episode : episodes) {
    lengths.push_back(static_cast<int64_t>(episode.steps.size()));
    solved.push_back(episode.is_solved ? 1 : 0);
    for (const auto& [state, action] : episode.steps) {
      for (const double v :
           {state.agent.x, state.agent.y, state.block.x, state.block.y, state.angle}) {
        states.push_back(v);
      }
      for (const double v : {action.x, action.y}) actions.push_back(v);
    }
  }
  const auto n_steps = static_cast<int64_t>(actions.size() / 2);
  const auto n_episodes = static_cast<int64_t>(episodes.size());
  nlohmann::ordered_json header;
  header["__metadata__"] = {
      {"env", "pusht"},
      {"first_seed", std::to_string(recipe.first_seed)},
      {"lookahead", recipe.expert.lookahead == Lookahead::kOnePush ? "1" : "2"},
      {"noise_share", fmt::format("{}", recipe.expert.noise_share)},
      {"noise_px", fmt::format("{}", recipe.expert.noise_px)}};
  std::string data;
  const auto add = [&](const char* name, const char* dtype, std::vector<int64_t> shape,
                       const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    const size_t first = data.size();
    data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    header[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {first, data.size()}}};
  };
  add("state", "F64", {n_steps, 5}, states);
  add("action", "F64", {n_steps, 2}, actions);
  add("length", "I64", {n_episodes}, lengths);
  add("solved", "I64", {n_episodes}, solved);
  return safetensors(header, data);
}

void run(const Recipe& recipe, const std::string& path) {
  const std::vector<PushtDemonstration> episodes = demonstrations(recipe);
  const std::string bytes = file_of(episodes, recipe);
  write_file(path, std::as_bytes(std::span(bytes)));
  int64_t n_solved = 0, n_steps = 0;
  for (const PushtDemonstration& episode : episodes) {
    n_solved += episode.is_solved ? 1 : 0;
    n_steps += static_cast<int64_t>(episode.steps.size());
  }
  fmt::print("{}: {} of {} episodes solved, {:.1f} control steps each\n", path, n_solved,
             episodes.size(), static_cast<double>(n_steps) / static_cast<double>(episodes.size()));
}

int parse_and_run(int argc, char** argv) {
  Recipe recipe;
  std::string path;
  int32_t n_pushes = 1;
  CLI::App app{"Episodes of the scripted Push-T expert, as a safetensors file.",
               "pusht_demonstrations"};
  app.add_option("--out", path, "file to write")->required();
  app.add_option("--episodes", recipe.n_episodes, "episodes")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--first-seed", recipe.first_seed, "legacy seed of the first start")
      ->capture_default_str();
  app.add_option("--lookahead", n_pushes, "pushes planned ahead; 2 is 7 times the work")
      ->capture_default_str()
      ->check(CLI::Range(1, 2));
  app.add_option("--noise-share", recipe.expert.noise_share,
                 "share of the actions carried out with an error")
      ->capture_default_str();
  app.add_option("--noise-px", recipe.expert.noise_px, "deviation of that error in pixels")
      ->capture_default_str();
  app.add_option("--threads", recipe.n_threads, "threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 512));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  recipe.expert.lookahead = n_pushes == 1 ? Lookahead::kOnePush : Lookahead::kTwoPushes;
  run(recipe, path);
  return 0;
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  try {
    return reprise::parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pusht_demonstrations: %s\n", error.what());
    return 1;
  }
}
