// The module that writes videos, with FFmpeg's libraries.
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

#include <fmt/format.h>

#include <array>
#include <memory>

#include "core/error.h"
#include "core/media/video_encoder.h"

namespace reprise {
namespace {

constexpr double kKeyFrameS = 5;  // a player can start at each of them

struct FreeContext {
  void operator()(AVFormatContext* context) const {
    avio_closep(&context->pb);
    avformat_free_context(context);
  }
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
  void operator()(SwsContext* context) const { sws_freeContext(context); }
};
template <typename T>
using Owned = std::unique_ptr<T, FreeContext>;

// Takes what a function of FFmpeg returns.
void check(int result, const VideoFormat& format, const char* what) {
  if (result >= 0) return;
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(result, text.data(), text.size());
  throw Error(fmt::format("{}: cannot {}: {}", format.file, what, text.data()));
}

template <typename T>
Owned<T> owned(T* made, const VideoFormat& format) {
  if (made == nullptr) throw Error(fmt::format("{}: no memory for a video", format.file));
  return Owned<T>(made);
}

class FfmpegVideo final : public VideoEncoder {
 public:
  explicit FfmpegVideo(VideoFormat format);

  void add(std::span<const uint8_t> rgb) override;
  void finish() override;
  const std::string& note() const override { return note_; }

 private:
  const AVCodec* find_codec();
  void open_codec(const AVCodec* codec);
  void write_packets();

  VideoFormat format_;
  std::string note_;
  Owned<AVFormatContext> file_;
  Owned<AVCodecContext> codec_;
  Owned<AVFrame> frame_;
  Owned<AVPacket> packet_;
  Owned<SwsContext> to_yuv_;
  AVStream* stream_ = nullptr;  // of file_
};

FfmpegVideo::FfmpegVideo(VideoFormat format) : format_(std::move(format)) {
  av_log_set_level(AV_LOG_QUIET);  // errors are told by us
  AVFormatContext* file = nullptr;
  check(avformat_alloc_output_context2(&file, nullptr, format_.container.c_str(),
                                       format_.file.c_str()),
        format_, "make such a video");
  file_.reset(file);
  open_codec(find_codec());
  stream_ = avformat_new_stream(file, nullptr);
  if (stream_ == nullptr) throw Error(fmt::format("{}: no memory for a video", format_.file));
  stream_->time_base = codec_->time_base;
  stream_->avg_frame_rate = codec_->framerate;
  check(avcodec_parameters_from_context(stream_->codecpar, codec_.get()), format_,
        "describe the video");
  check(avio_open(&file->pb, format_.file.c_str(), AVIO_FLAG_WRITE), format_, "write there");
  AVDictionary* options = nullptr;
  if (format_.container == "mp4") av_dict_set(&options, "movflags", "+faststart", 0);
  const int result = avformat_write_header(file, &options);
  av_dict_free(&options);
  check(result, format_, "write the video's header");

  frame_ = owned(av_frame_alloc(), format_);
  frame_->format = codec_->pix_fmt;
  frame_->width = format_.width;
  frame_->height = format_.height;
  frame_->pts = 0;
  frame_->colorspace = codec_->colorspace;
  frame_->color_range = codec_->color_range;
  check(av_frame_get_buffer(frame_.get(), 0), format_, "hold a picture");
  packet_ = owned(av_packet_alloc(), format_);
  to_yuv_ = owned(
      sws_getContext(format_.width, format_.height, AV_PIX_FMT_RGB24, format_.width, format_.height,
                     codec_->pix_fmt, SWS_AREA | SWS_ACCURATE_RND, nullptr, nullptr, nullptr),
      format_);
  const int* bt709 = sws_getCoefficients(SWS_CS_ITU709);
  constexpr int kFull = 1;
  constexpr int kOne = 1 << 16;  // contrast and saturation as they are, in 16.16
  sws_setColorspaceDetails(to_yuv_.get(), bt709, kFull, bt709, 0, 0, kOne, kOne);
}

const AVCodec* FfmpegVideo::find_codec() {
  if (const AVCodec* vp9 = avcodec_find_encoder_by_name("libvpx-vp9"); vp9 != nullptr) return vp9;
  const bool is_mp4 = format_.container == "mp4";
  const AVCodec* mpeg4 = is_mp4 ? avcodec_find_encoder(AV_CODEC_ID_MPEG4) : nullptr;
  if (mpeg4 == nullptr) {
    throw Error(fmt::format("{}: this FFmpeg has no VP9 encoder (libvpx){}", format_.file,
                            is_mp4 ? " and none for MPEG-4" : "; take a name that ends in .mp4"));
  }
  note_ =
      "this FFmpeg has no VP9 encoder (libvpx): the video is MPEG-4 part 2, which players show "
      "and browsers do not";
  return mpeg4;
}

void FfmpegVideo::open_codec(const AVCodec* codec) {
  codec_ = owned(avcodec_alloc_context3(codec), format_);
  AVCodecContext& to = *codec_;
  to.width = format_.width;
  to.height = format_.height;
  to.pix_fmt = AV_PIX_FMT_YUV420P;  // what every browser decodes
  to.framerate = av_d2q(format_.fps, 65535);
  to.time_base = av_inv_q(to.framerate);
  to.gop_size = std::max(1, static_cast<int>(kKeyFrameS * format_.fps));
  to.colorspace = AVCOL_SPC_BT709;
  to.color_primaries = AVCOL_PRI_BT709;
  to.color_trc = AVCOL_TRC_BT709;
  to.color_range = AVCOL_RANGE_MPEG;
  if (file_->oformat->flags & AVFMT_GLOBALHEADER) to.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  if (codec->id == AV_CODEC_ID_VP9) {
    // Constant quality, at a speed of some 100 pictures of 512 x 512 a second on one core.
    av_opt_set(to.priv_data, "crf", "28", 0);
    av_opt_set(to.priv_data, "deadline", "good", 0);
    av_opt_set(to.priv_data, "cpu-used", "5", 0);
  } else {
    to.flags |= AV_CODEC_FLAG_QSCALE;
    to.global_quality = 3 * FF_QP2LAMBDA;
  }
  check(avcodec_open2(&to, codec, nullptr), format_, "start the encoder");
}

void FfmpegVideo::write_packets() {
  for (;;) {
    const int result = avcodec_receive_packet(codec_.get(), packet_.get());
    if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
    check(result, format_, "encode a picture");
    packet_->duration = 1;
    av_packet_rescale_ts(packet_.get(), codec_->time_base, stream_->time_base);
    packet_->stream_index = stream_->index;
    check(av_interleaved_write_frame(file_.get(), packet_.get()), format_, "write a picture");
  }
}

void FfmpegVideo::add(std::span<const uint8_t> rgb) {
  check(av_frame_make_writable(frame_.get()), format_, "hold a picture");
  const uint8_t* rows[] = {rgb.data()};
  const int n_row_bytes[] = {3 * format_.width};
  sws_scale(to_yuv_.get(), rows, n_row_bytes, 0, format_.height, frame_->data, frame_->linesize);
  check(avcodec_send_frame(codec_.get(), frame_.get()), format_, "encode a picture");
  ++frame_->pts;
  write_packets();
}

void FfmpegVideo::finish() {
  check(avcodec_send_frame(codec_.get(), nullptr), format_, "encode the last pictures");
  write_packets();
  check(av_write_trailer(file_.get()), format_, "end the file");
  check(avio_closep(&file_->pb), format_, "write the last bytes");
}

}  // namespace
}  // namespace reprise

extern "C" reprise::VideoEncoder* reprise_make_video_encoder(const reprise::VideoFormat& format) {
  return new reprise::FfmpegVideo(format);
}
