#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/picture_view.h"
#include "core/video_file.h"
#include "engines/control/control_loop.h"
#include "engines/control/pusht_environment.h"
#include "engines/pusht/pusht_scene.h"

namespace reprise {

// Where a control run's pictures go.
struct PictureFlags {
  std::string video;   // path; empty: none
  std::string frames;  // folder of PNG files, likewise
  bool is_watched = false;

  bool is_any() const { return !video.empty() || !frames.empty() || is_watched; }
};

// Shows and keeps what happens in episodes of Push-T: one picture a control step. What is kept is
// drawn when the episode is over, so that no tick waits for it; what is watched is drawn at once.
class EpisodePictures {
 public:
  // `detail`: how it is driven, for the second line below each picture. In simulated time watched
  // pictures follow each other slowly enough to be seen. Throws Error when nothing can be written
  // where the flags say.
  EpisodePictures(const PictureFlags& flags, std::string detail, double rate_hz, bool is_realtime);

  // After each control step.
  void add(uint32_t seed, const PushtEnvironment& environment, const ControlTick& tick);
  // Draws the episode's pictures. Throws Error when they cannot be written.
  void end_episode(const EpisodeResult& result);
  // Ends the video; there is none when there were no pictures.
  void finish();

 private:
  void watch(const PushtScene& scene, const std::string& text);

  PictureFlags flags_;
  std::string detail_;
  double rate_hz_;
  bool is_realtime_;
  std::optional<VideoFile> video_;
  std::optional<PictureWatch> watch_;
  std::chrono::steady_clock::time_point next_picture_ = std::chrono::steady_clock::now();
  uint32_t seed_ = 0;
  std::vector<PushtScene> scenes_;  // of the episode under way
};

}  // namespace reprise
