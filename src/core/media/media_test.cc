extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

#include <gtest/gtest.h>
#include <png.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "core/error.h"
#include "core/png_file.h"
#include "core/video_file.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using Color = std::array<uint8_t, 3>;

constexpr Color kOrange = {230, 159, 0};
constexpr Color kBlue = {0, 114, 178};
constexpr Color kGreen = {0, 158, 115};

// Left half, right half.
Picture two_halves(int32_t width, int32_t height, Color left, Color right) {
  Picture picture{width, height, {}};
  for (int32_t i = 0; i < width * height; ++i) {
    const Color& color = i % width < width / 2 ? left : right;
    picture.rgb.insert(picture.rgb.end(), color.begin(), color.end());
  }
  return picture;
}

// Of the columns [first, end).
std::array<double, 3> mean_color(const Picture& picture, int32_t first, int32_t end) {
  std::array<double, 3> sum{};
  for (int32_t y = 0; y < picture.height; ++y)
    for (int32_t x = first; x < end; ++x)
      for (size_t c = 0; c < 3; ++c) sum[c] += picture.pixel(x, y)[c];
  for (double& s : sum) s /= static_cast<double>(picture.height) * (end - first);
  return sum;
}

// Every picture of a video, and what its file says of it.
struct Decoded {
  std::string codec;
  std::string container;
  double fps = 0;
  std::vector<Picture> pictures;
};

Decoded decode(const std::string& path) {
  Decoded out;
  AVFormatContext* file = nullptr;
  EXPECT_EQ(avformat_open_input(&file, path.c_str(), nullptr, nullptr), 0) << path;
  if (file == nullptr) return out;
  avformat_find_stream_info(file, nullptr);
  EXPECT_EQ(file->nb_streams, 1U);
  const AVStream* stream = file->streams[0];
  const AVCodec* codec = avcodec_find_decoder(stream->codecpar->codec_id);
  out.codec = codec->name;
  out.container = file->iformat->name;
  out.fps = av_q2d(stream->avg_frame_rate);
  EXPECT_EQ(stream->codecpar->format, AV_PIX_FMT_YUV420P);
  EXPECT_EQ(stream->codecpar->color_space, AVCOL_SPC_BT709);
  AVCodecContext* context = avcodec_alloc_context3(codec);
  avcodec_parameters_to_context(context, stream->codecpar);
  avcodec_open2(context, codec, nullptr);
  SwsContext* to_rgb = sws_getContext(context->width, context->height, AV_PIX_FMT_YUV420P,
                                      context->width, context->height, AV_PIX_FMT_RGB24,
                                      SWS_BILINEAR | SWS_ACCURATE_RND, nullptr, nullptr, nullptr);
  const int* bt709 = sws_getCoefficients(SWS_CS_ITU709);
  sws_setColorspaceDetails(to_rgb, bt709, 0, bt709, 1, 0, 1 << 16, 1 << 16);
  AVFrame* frame = av_frame_alloc();
  AVPacket* packet = av_packet_alloc();
  const auto receive = [&] {
    while (avcodec_receive_frame(context, frame) == 0) {
      Picture picture{frame->width, frame->height, {}};
      picture.rgb.resize(static_cast<size_t>(3) * frame->width * frame->height);
      uint8_t* rows[] = {picture.rgb.data()};
      const int n_row_bytes[] = {3 * frame->width};
      sws_scale(to_rgb, frame->data, frame->linesize, 0, frame->height, rows, n_row_bytes);
      out.pictures.push_back(std::move(picture));
    }
  };
  while (av_read_frame(file, packet) == 0) {
    avcodec_send_packet(context, packet);
    receive();
    av_packet_unref(packet);
  }
  avcodec_send_packet(context, nullptr);
  receive();
  av_packet_free(&packet);
  av_frame_free(&frame);
  sws_freeContext(to_rgb);
  avcodec_free_context(&context);
  avformat_close_input(&file);
  return out;
}

void expect_refusal(const std::function<void()>& act, const std::string& part) {
  try {
    act();
    ADD_FAILURE() << "no error that says '" << part << "'";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

class Media : public ::testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / ("reprise_media_" + std::to_string(getpid()));
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  int64_t n_files() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }
};

TEST_F(Media, PngHoldsEveryPixel) {
  Picture picture{7, 5, {}};
  for (int i = 0; i < 7 * 5 * 3; ++i) picture.rgb.push_back(static_cast<uint8_t>(i * 37));
  write_png(path("a.png"), picture);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_file(&image, path("a.png").c_str()), 0);
  EXPECT_EQ(image.width, 7U);
  EXPECT_EQ(image.height, 5U);
  image.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> rgb(PNG_IMAGE_SIZE(image));
  ASSERT_NE(png_image_finish_read(&image, nullptr, rgb.data(), 0, nullptr), 0);
  EXPECT_EQ(rgb, picture.rgb);
}

TEST_F(Media, PngRefusesWhatCannotBeWritten) {
  expect_refusal([&] { write_png(path("none/a.png"), {1, 1, {0, 0, 0}}); }, "none/a.png");
  expect_refusal([&] { write_png(path("a.png"), {0, 1, {}}); }, "0 x 1 pixels");
  EXPECT_EQ(n_files(), 0);
}

TEST_F(Media, VideosShowTheColorsAndTheirOrder) {
  // A decoder that took the other matrix (BT.601) would be off by 13 levels or more in one of
  // these colours' channels: less than half of that is a coding error.
  constexpr double kTolerance = 6;
  const std::vector<Color> lefts = {kOrange, kBlue, kGreen};
  for (const std::string name : {"a.mp4", "a.webm", "B.MP4"}) {
    VideoFile video(path(name), 64, 48, 10);
    EXPECT_EQ(video.note(), "");
    for (int i = 0; i < 30; ++i) video.add(two_halves(64, 48, lefts[i / 10], kOrange));
    EXPECT_FALSE(fs::exists(path(name)));  // not yet
    video.finish();
    EXPECT_EQ(video.n_pictures(), 30);
    const Decoded decoded = decode(path(name));
    EXPECT_NE(decoded.container.find(name == "a.webm" ? "webm" : "mp4"), std::string::npos);
    EXPECT_NE(decoded.codec.find("vp9"), std::string::npos) << decoded.codec;
    EXPECT_NEAR(decoded.fps, 10, 1e-6);
    ASSERT_EQ(decoded.pictures.size(), 30U);
    for (int i = 0; i < 30; ++i) {
      const Picture& picture = decoded.pictures[i];
      ASSERT_EQ(picture.width, 64);
      ASSERT_EQ(picture.height, 48);
      // Away from the edge, where colours run into each other.
      const std::array<double, 3> left = mean_color(picture, 4, 28);
      const std::array<double, 3> right = mean_color(picture, 36, 60);
      for (size_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(left[c], lefts[i / 10][c], kTolerance) << name << " " << i << " " << c;
        EXPECT_NEAR(right[c], kOrange[c], kTolerance) << name << " " << i << " " << c;
      }
    }
  }
}

TEST_F(Media, Mp4StartsWithItsIndex) {
  VideoFile video(path("a.mp4"), 64, 64, 10);
  for (int i = 0; i < 5; ++i) video.add(two_halves(64, 64, kBlue, kGreen));
  video.finish();
  const std::string bytes = read_file(path("a.mp4"), 1 << 20);
  ASSERT_NE(bytes.find("moov"), std::string::npos);
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));  // a browser shows it before it has all
}

TEST_F(Media, UnfinishedVideoLeavesNothing) {
  {
    VideoFile video(path("a.mp4"), 64, 64, 10);
    video.add(two_halves(64, 64, kBlue, kGreen));
  }
  EXPECT_EQ(n_files(), 0);
  VideoFile empty(path("b.mp4"), 64, 64, 10);
  expect_refusal([&] { empty.finish(); }, "without any picture");
}

// A file size limit stands for a full disk.
TEST_F(Media, FullDiskIsAnErrorAndLeavesNothing) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{2000, before.rlim_max};
  for (const std::string name : {"a.mp4", "a.webm"}) {
    setrlimit(RLIMIT_FSIZE, &small);
    expect_refusal(
        [&] {
          VideoFile video(path(name), 128, 128, 10);
          Picture noise{128, 128, {}};
          for (int i = 0; i < 128 * 128 * 3; ++i)
            noise.rgb.push_back(static_cast<uint8_t>((i * 2654435761U) >> 24));
          for (int i = 0; i < 30; ++i) {
            std::rotate(noise.rgb.begin(), noise.rgb.begin() + 997, noise.rgb.end());
            video.add(noise);
          }
          video.finish();
        },
        name);
    setrlimit(RLIMIT_FSIZE, &before);
  }
  EXPECT_EQ(n_files(), 0);
}

TEST_F(Media, RefusesWithWhatToDo) {
  const auto open = [&](const std::string& name, int32_t width, int32_t height, double fps) {
    return [=, this] { VideoFile(path(name), width, height, fps); };
  };
  expect_refusal(open("a.avi", 64, 64, 10), "ends in .mp4 or .webm");
  expect_refusal(open("mp4", 64, 64, 10), "ends in .mp4 or .webm");
  expect_refusal(open("a.mp4", 63, 64, 10), "must be even");
  expect_refusal(open("a.mp4", 64, 0, 10), "must be even");
  expect_refusal(open("a.mp4", 64, 64, 0), "rate");
  expect_refusal(open("none/a.mp4", 64, 64, 10), "No such file or directory");
  fs::create_directory(folder_ / "folder.mp4");
  expect_refusal(open("folder.mp4", 64, 64, 10), "is no file");
  VideoFile video(path("a.mp4"), 64, 64, 10);
  expect_refusal([&] { video.add({32, 64, std::vector<uint8_t>(32 * 64 * 3)}); }, "32 x 64");
}

}  // namespace
}  // namespace reprise
