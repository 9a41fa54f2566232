#include "cli/episode_pictures.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/png_file.h"
#include "core/quantities.h"

namespace reprise {
namespace {

constexpr int32_t kSize = 512;  // pixels of the window in files: one a unit of length
// A video stays with the end of an episode for as long, so that it can be seen how it ended.
constexpr double kStayS = 0.5;
// In simulated time; three times as fast as the robot.
constexpr std::chrono::milliseconds kWatchedStep{33};

std::vector<Vec2> places(std::span<const float> actions) {
  std::vector<Vec2> out;
  for (size_t i = 0; i + 1 < actions.size(); i += 2) out.push_back({actions[i], actions[i + 1]});
  return out;
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) return;
  throw Error(fmt::format("--frames {}: the folder cannot be made: {}", folder, error.message()));
}

}  // namespace

EpisodePictures::EpisodePictures(const PictureFlags& flags, std::string detail, double rate_hz,
                                 bool is_realtime)
    : flags_(flags), detail_(std::move(detail)), rate_hz_(rate_hz), is_realtime_(is_realtime) {
  if (!flags.video.empty()) {
    video_.emplace(flags.video, kSize, pusht_picture_height(kSize, true), rate_hz);
    if (!video_->note().empty()) spdlog::warn("{}", video_->note());
  }
  if (!flags.frames.empty()) make_folder(flags.frames);
  if (flags.is_watched) watch_.emplace();
}

void EpisodePictures::add(uint32_t seed, const PushtEnvironment& environment,
                          const ControlTick& tick) {
  seed_ = seed;
  PushtScene scene;
  scene.state = environment.state();
  scene.target = places(tick.action).front();
  scene.planned = places(tick.planned);
  scene.caption = fmt::format("seed {}  step {}  chunk {}{}", seed, tick.i_tick + 1, tick.n_chunks,
                              tick.is_fresh ? "" : "  held");
  scene.detail = detail_;
  scene.score = environment.reward();
  scene.best_score = environment.score();
  if (watch_) {
    watch(scene, fmt::format("seed {} · step {} · chunk {}{} · score {:.2f} (best {:.2f}) · {}",
                             seed, tick.i_tick + 1, tick.n_chunks, tick.is_fresh ? "" : " · held",
                             scene.score, scene.best_score, detail_));
  }
  if (video_ || !flags_.frames.empty()) scenes_.push_back(std::move(scene));
}

void EpisodePictures::watch(const PushtScene& scene, const std::string& text) {
  if (!is_realtime_) {
    std::this_thread::sleep_until(next_picture_);
    next_picture_ = std::chrono::steady_clock::now() + kWatchedStep;
  }
  const int32_t size = watch_->size();
  if (size == 0) return watch_->show(text);
  PushtScene bare = scene;
  bare.caption.clear();  // letters would be too small
  watch_->show(draw_pusht(bare, size), text);
}

void EpisodePictures::end_episode(const EpisodeResult& result) {
  if (watch_) watch_->finish();
  Picture picture;
  for (size_t i = 0; i < scenes_.size(); ++i) {
    picture = draw_pusht(scenes_[i], kSize);
    if (video_) video_->add(picture);
    if (flags_.frames.empty()) continue;
    const auto name = fmt::format("{}-{:03}.png", seed_, i + 1);
    write_png((std::filesystem::path(flags_.frames) / name).string(), picture);
  }
  const auto n_stays = static_cast<int32_t>(kStayS * rate_hz_);
  for (int32_t i = 0; video_ && !scenes_.empty() && !result.was_cancelled && i < n_stays; ++i) {
    video_->add(picture);
  }
  scenes_.clear();
}

void EpisodePictures::finish() {
  if (!video_ || video_->n_pictures() == 0) return;
  video_->finish();
  spdlog::info("{}: {} pictures, {} a second", flags_.video, format_count(video_->n_pictures()),
               rate_hz_);
}

}  // namespace reprise
