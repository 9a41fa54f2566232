#include "core/png_file.h"

#include <fmt/format.h>
#include <png.h>

#include "core/atomic_file.h"
#include "core/error.h"

namespace reprise {

void write_png(const std::string& path, const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_RGB;
  // libpng tells a bound of the size first.
  png_alloc_size_t n_bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(n_bytes, '\0');
  if (png_image_write_to_memory(&image, bytes.data(), &n_bytes, 0, picture.rgb.data(), 0,
                                nullptr) == 0) {
    throw Error(fmt::format("{}: libpng makes no picture of {} x {} pixels: {}", path,
                            picture.width, picture.height, image.message));
  }
  write_file(path, std::as_bytes(std::span(bytes).first(n_bytes)));
}

}  // namespace reprise
