#include "engines/control/pusht_episode.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "engines/control/action_noise.h"
#include "engines/control/observation_history.h"
#include "engines/control/pusht_environment.h"
#include "engines/pusht/observation.h"

namespace reprise {
namespace {

// One episode and what the policy has seen of it.
class Player {
 public:
  Player(uint32_t seed, const PolicyHparams& hparams)
      : environment_(seed),
        seen_(hparams.n_obs_steps, environment_.n_obs()),
        episode_{.seed = seed} {
    seen_.begin(environment_);
  }

  bool is_over(int32_t n_max_steps) const {
    return episode_.is_solved || episode_.n_steps >= n_max_steps;
  }
  std::span<const float> obs() const { return seen_.values(); }
  const PushtEpisode& episode() const { return episode_; }
  ChunkRequest request() const {
    return {.obs = obs(), .seed = seed_of(episode_.seed, episode_.n_chunks)};
  }

  // Up to the episode's end.
  void carry_out(std::span<const float> actions, int32_t n_max_steps) {
    ++episode_.n_chunks;
    for (size_t i = 0; i < actions.size() && !is_over(n_max_steps); i += kPushtAction) {
      environment_.apply(actions.subspan(i, kPushtAction));
      seen_.observe(environment_);
      ++episode_.n_steps;
      episode_.score = environment_.score();
      episode_.is_solved = environment_.is_done();
    }
  }

 private:
  PushtEnvironment environment_;
  ObservationHistory seen_;
  PushtEpisode episode_;
};

void check_fits(const PolicyHparams& hparams) {
  const std::string misfit = pusht_misfit(hparams);
  if (misfit.empty()) return;
  throw Error(
      fmt::format("the policy does not fit Push-T: {}; take one that was trained for it", misfit));
}

}  // namespace

std::vector<PushtEpisode> run_pusht(DiffusionPolicy& policy, const PushtRunOptions& options,
                                    const PushtEvents& events) {
  check_fits(policy.hparams());
  if (options.n_seeds < 1 || options.n_batch < 1 || options.n_max_steps < 1) {
    throw Error(
        fmt::format("Push-T: {} episodes of {} steps, {} at a time: give at least 1 of each",
                    options.n_seeds, options.n_max_steps, options.n_batch));
  }
  std::vector<PushtEpisode> episodes;
  for (int32_t i_first = 0; i_first < options.n_seeds; i_first += options.n_batch) {
    std::vector<Player> players;
    const int32_t n = std::min(options.n_batch, options.n_seeds - i_first);
    players.reserve(n);
    for (int32_t i = 0; i < n; ++i) {
      players.emplace_back(options.first_seed + static_cast<uint32_t>(i_first + i),
                           policy.hparams());
    }
    bool is_cancelled = false;
    while (true) {
      std::vector<Player*> active;
      std::vector<ChunkRequest> requests;
      for (Player& player : players) {
        if (player.is_over(options.n_max_steps)) continue;
        active.push_back(&player);
        requests.push_back(player.request());
      }
      is_cancelled = events.is_cancelled && events.is_cancelled();
      if (active.empty() || is_cancelled) break;
      const std::vector<ActionChunk> chunks = policy.act(requests);
      for (size_t i = 0; i < active.size(); ++i) {
        const std::vector<float> obs(active[i]->obs().begin(), active[i]->obs().end());
        active[i]->carry_out(policy.executed(chunks[i]), options.n_max_steps);
        if (events.on_chunk) events.on_chunk(active[i]->episode(), obs);
      }
    }
    for (const Player& player : players) episodes.push_back(player.episode());
    if (is_cancelled) break;
  }
  return episodes;
}

std::vector<std::vector<float>> pusht_observations(DiffusionPolicy& policy, uint32_t first_seed,
                                                   int32_t n, int32_t n_spread,
                                                   const PushtEvents& events) {
  std::vector<std::vector<float>> found(n);
  PushtEvents collecting = events;
  collecting.on_chunk = [&](const PushtEpisode& episode, std::span<const float> obs) {
    const auto i = static_cast<int32_t>(episode.seed - first_seed);
    if (episode.n_chunks - 1 <= i % n_spread) found[i].assign(obs.begin(), obs.end());
    if (events.on_chunk) events.on_chunk(episode, obs);
  };
  run_pusht(policy,
            {.first_seed = first_seed,
             .n_seeds = n,
             .n_max_steps = n_spread * policy.hparams().n_action_steps},
            collecting);
  return found;
}

}  // namespace reprise
