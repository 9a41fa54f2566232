#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/atomic_file.h"
#include "core/media/video_encoder.h"
#include "core/picture.h"

namespace reprise {

// A video under way: VP9 in an MP4 or WebM file, which every browser plays; where FFmpeg has no VP9
// encoder, MPEG-4 with a note. The file is complete or absent: it takes its name in finish().
class VideoFile {
 public:
  // `path` ends in .mp4 or .webm; width and height are even. Throws Error for other ones, when
  // nothing can be written there, and when the program has no video (REPRISE_MEDIA) or FFmpeg's
  // libraries are not installed.
  VideoFile(const std::string& path, int32_t width, int32_t height, double fps);

  // Throws Error for a picture of another size, and when it cannot be written.
  void add(const Picture& picture);
  // Throws Error when no picture was added.
  void finish();
  // What a user should know of the file; mostly empty.
  const std::string& note() const { return encoder_->note(); }
  int64_t n_pictures() const { return n_pictures_; }

 private:
  std::string path_;
  VideoFormat format_;
  UnfinishedFile file_;
  std::unique_ptr<VideoEncoder> encoder_;
  int64_t n_pictures_ = 0;
};

}  // namespace reprise
