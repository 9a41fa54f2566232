#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/picture.h"
#include "engines/pusht/pusht_geometry.h"
#include "engines/pusht/shape_painter.h"

namespace reprise {

// What a picture of Push-T shows.
struct PushtScene {
  PushtState state;
  std::optional<Vec2> target;  // where the agent is sent now
  std::vector<Vec2> planned;   // the targets that follow: dots from dark to light
  // Two lines below the window, cut at its width; without a caption there is no strip for them.
  std::string caption;
  std::string detail;
  double score = 0;       // of the state, 0 to 1: how far the bar is filled
  double best_score = 0;  // of the episode: a mark on the bar
};

// Colours that the common kinds of colour blindness tell apart, and a grey picture too (after Okabe
// and Ito, 2008).
struct PushtColors {
  static constexpr Color kBackground = {250, 250, 248};
  static constexpr Color kWall = {120, 124, 130};
  static constexpr Color kGoal = {148, 212, 190};
  static constexpr Color kBlock = {74, 84, 110};
  static constexpr double kBlockOpacity = 0.85;  // the goal shows through
  static constexpr Color kGoalEdge = {0, 128, 94};
  static constexpr Color kAgent = {0, 114, 178};
  static constexpr Color kTarget = {213, 94, 0};
  static constexpr Color kPlanFirst = {150, 55, 0};
  static constexpr Color kPlanLast = {255, 214, 170};
  static constexpr Color kText = {40, 44, 52};
  static constexpr Color kBarEmpty = {225, 228, 228};
  static constexpr Color kBar = {0, 158, 115};
};

// The window, `size` pixels wide and high, and below it the strip, an eighth as high, when there is
// a caption. Throws Error unless size is 16 to 4096, and as check_pusht_state.
Picture draw_pusht(const PushtScene& scene, int32_t size);
// How high that picture is; even for an even size.
int32_t pusht_picture_height(int32_t size, bool has_caption);

}  // namespace reprise
