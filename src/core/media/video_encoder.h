#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace reprise {

struct VideoFormat {
  std::string file;       // where the encoder writes
  std::string container;  // "mp4" or "webm"
  int32_t width = 0;      // both even
  int32_t height = 0;
  double fps = 0;
};

// What stands behind VideoFile, in a module of its own: FFmpeg's libraries bring 100 others along,
// which no run without a video should have to load.
class VideoEncoder {
 public:
  virtual ~VideoEncoder() = default;

  // The next picture, [height][width][3]. Throws Error, as finish() does.
  virtual void add(std::span<const uint8_t> rgb) = 0;
  // Ends the file; nothing is added afterwards.
  virtual void finish() = 0;
  // What a user should know of the file; mostly empty.
  virtual const std::string& note() const = 0;
};

// Exported by the module under kMakeVideoEncoder. The caller owns the encoder. Throws Error.
using MakeVideoEncoder = VideoEncoder*(const VideoFormat& format);
constexpr const char* kMakeVideoEncoder = "reprise_make_video_encoder";
constexpr const char* kVideoModule = "reprise_video.so";

}  // namespace reprise
