#include "core/video_file.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/lower_ascii.h"
#include "core/program_place.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

// The container that a file's name asks for. Throws Error.
std::string container_of(const std::string& path) {
  const std::string ending = lower_ascii(fs::path(path).extension().string());
  if (ending == ".mp4" || ending == ".webm") return ending.substr(1);
  throw Error(fmt::format("{}: the name of a video ends in .mp4 or .webm", path));
}

VideoFormat checked_format(const std::string& path, int32_t width, int32_t height, double fps) {
  if (width < 2 || height < 2 || width % 2 != 0 || height % 2 != 0 || !(fps >= 0.01)) {
    throw Error(
        fmt::format("{}: a video of {} x {} pixels, {} pictures a second; both sizes must "
                    "be even and the rate at least 0.01",
                    path, width, height, fps));
  }
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Error(fmt::format("{}: is no file; a video needs one of its own", path));
  }
  return {"", container_of(path), width, height, fps};
}

// The module's function, from the build folder or beside an installed program. Throws Error.
MakeVideoEncoder* load_module(const std::string& path) {
  const ProgramPlace place = program_place();
  std::error_code ignored;
  for (const fs::path& folder : {place.build, place.modules}) {
    const fs::path file = folder / kVideoModule;
    if (folder.empty() || !fs::exists(file, ignored)) continue;
    // It stays loaded: what it has made may outlive any one video.
    void* module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    void* make = module != nullptr ? dlsym(module, kMakeVideoEncoder) : nullptr;
    if (make != nullptr) return reinterpret_cast<MakeVideoEncoder*>(make);
    throw Error(
        fmt::format("{}: FFmpeg's libraries cannot be loaded ({}); install libavformat, "
                    "libavcodec and libswscale",
                    path, dlerror()));
  }
  throw Error(fmt::format("{}: this program has no {}; build it with -DREPRISE_MEDIA=ON", path,
                          kVideoModule));
}

}  // namespace

VideoFile::VideoFile(const std::string& path, int32_t width, int32_t height, double fps)
    : path_(path), format_(checked_format(path, width, height, fps)), file_(path) {
  MakeVideoEncoder* make = load_module(path);
  format_.file = file_.temporary();
  encoder_.reset(make(format_));
}

void VideoFile::add(const Picture& picture) {
  if (picture.width != format_.width || picture.height != format_.height) {
    throw Error(fmt::format("{}: a picture of {} x {} pixels in a video of {} x {}", path_,
                            picture.width, picture.height, format_.width, format_.height));
  }
  encoder_->add(picture.rgb);
  ++n_pictures_;
}

void VideoFile::finish() {
  if (n_pictures_ == 0) throw Error(fmt::format("{}: a video without any picture", path_));
  encoder_->finish();
  file_.finish();
}

}  // namespace reprise
