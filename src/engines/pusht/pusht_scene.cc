#include "engines/pusht/pusht_scene.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/error.h"
#include "engines/pusht/pixel_font.h"

namespace reprise {
namespace {

using Colors = PushtColors;

constexpr double kDotRadius = 4;  // lengths in the window's own pixels
constexpr double kCrossArm = 7;
constexpr double kLineThickness = 2;

class Window {
 public:
  Window(ShapePainter& painter, int32_t size) : painter_(painter), scale_(size / kPushtWindow) {}

  void walls() {
    const Vec2 corners[] = {
        {kWallNear, kWallNear}, {kWallFar, kWallNear}, {kWallFar, kWallFar}, {kWallNear, kWallFar}};
    for (size_t i = 0; i < 4; ++i) {
      painter_.line(on(corners[i]), on(corners[(i + 1) % 4]), 2 * kWallRadius * scale_,
                    Colors::kWall);
    }
  }
  void goal_and_block(const PushtState& state) {
    const Outline goal = on(block_outline(kGoalBlock, kGoalAngle));
    painter_.polygon(goal, Colors::kGoal);
    painter_.polygon(on(block_outline(state.block, state.angle)), Colors::kBlock,
                     Colors::kBlockOpacity);
    painter_.outline(goal, kLineThickness * scale_, Colors::kGoalEdge);
  }
  void agent(Vec2 place) { painter_.disc(on(place), kAgentRadius * scale_, Colors::kAgent); }
  // The last one first: the next one stands on top.
  void plan(const std::vector<Vec2>& planned) {
    const auto n = std::ssize(planned);
    for (auto i = n - 1; i >= 0; --i) {
      const double lightness = n > 1 ? static_cast<double>(i) / static_cast<double>(n - 1) : 0;
      painter_.disc(on(planned[i]), kDotRadius * scale_,
                    blend(Colors::kPlanFirst, Colors::kPlanLast, lightness));
    }
  }
  void target(Vec2 place) {
    for (const Vec2 arm : {Vec2{kCrossArm, kCrossArm}, Vec2{kCrossArm, -kCrossArm}}) {
      painter_.line(on(place - arm), on(place + arm), 1.5 * kLineThickness * scale_,
                    Colors::kTarget);
    }
  }

 private:
  Vec2 on(Vec2 place) const { return place * scale_; }
  Outline on(Outline outline) const {
    for (Vec2& corner : outline) corner = on(corner);
    return outline;
  }

  ShapePainter& painter_;
  double scale_;  // picture's pixels a pixel of the window
};

int32_t strip_height(int32_t size) { return size / 16 * 2; }

void draw_strip(ShapePainter& painter, const PushtScene& scene, int32_t size) {
  const int32_t height = strip_height(size);
  const int32_t scale = std::max(1, height / 30);  // of the font
  const int32_t margin = 4 * scale;
  const int32_t right = painter.width() - margin;
  const auto n_fitting = static_cast<size_t>((right - margin) / (kGlyphAdvance * scale));
  const std::string_view caption = scene.caption;
  const std::string_view detail = scene.detail;
  draw_text(painter, margin, size + scale, scale, caption.substr(0, n_fitting), Colors::kText);
  draw_text(painter, margin, size + (kGlyphHeight + 4) * scale, scale, detail.substr(0, n_fitting),
            Colors::kText);

  const std::string score = fmt::format("SCORE {:.2f}", scene.score);
  const int32_t text_top = painter.height() - margin - kGlyphHeight * scale;
  draw_text(painter, right - text_width(score, scale), text_top, scale, score, Colors::kText);
  const int32_t bar_right = right - text_width(score, scale) - margin;
  const int32_t bar_bottom = text_top + kGlyphHeight * scale;
  const auto place = [&](double share) {
    return margin +
           static_cast<int32_t>(std::lround(std::clamp(share, 0.0, 1.0) * (bar_right - margin)));
  };
  painter.rectangle(margin, text_top, bar_right, bar_bottom, Colors::kBarEmpty);
  painter.rectangle(margin, text_top, place(scene.score), bar_bottom, Colors::kBar);
  const int32_t best = place(scene.best_score);
  painter.rectangle(best - scale, text_top - scale, best, bar_bottom + scale, Colors::kText);
}

}  // namespace

int32_t pusht_picture_height(int32_t size, bool has_caption) {
  return has_caption ? size + strip_height(size) : size;
}

Picture draw_pusht(const PushtScene& scene, int32_t size) {
  if (size < 16 || size > 4096) {
    throw Error(fmt::format("a picture of {} pixels; 16 to 4096 can be drawn", size));
  }
  check_pusht_state(scene.state);
  const bool has_caption = !scene.caption.empty();
  ShapePainter painter(size, pusht_picture_height(size, has_caption), Colors::kBackground);
  Window window(painter, size);
  window.walls();
  window.goal_and_block(scene.state);
  window.agent(scene.state.agent);
  window.plan(scene.planned);
  if (scene.target) window.target(*scene.target);
  if (has_caption) {  // over what stuck out of the window
    painter.rectangle(0, size, size, painter.height(), Colors::kBackground);
    draw_strip(painter, scene, size);
  }
  return painter.take();
}

}  // namespace reprise
