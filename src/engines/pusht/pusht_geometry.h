#pragma once

#include <array>
#include <cmath>
#include <numbers>

namespace reprise {

// Lengths in Push-T are pixels of a 512 x 512 window, y grows downwards when drawn, angles are
// radians. Source of every number here: gym-pusht 0.1 and diffusion_policy's pusht_env.py.
struct Vec2 {
  double x = 0;
  double y = 0;

  constexpr Vec2 operator+(Vec2 b) const { return {x + b.x, y + b.y}; }
  constexpr Vec2 operator-(Vec2 b) const { return {x - b.x, y - b.y}; }
  constexpr Vec2 operator-() const { return {-x, -y}; }
  constexpr Vec2 operator*(double s) const { return {x * s, y * s}; }
  constexpr bool operator==(const Vec2&) const = default;
};

constexpr double dot(Vec2 a, Vec2 b) { return a.x * b.x + a.y * b.y; }
constexpr double cross(Vec2 a, Vec2 b) { return a.x * b.y - a.y * b.x; }
inline double length(Vec2 a) { return std::sqrt(dot(a, a)); }
inline double distance(Vec2 a, Vec2 b) { return length(b - a); }
inline bool is_finite(Vec2 a) { return std::isfinite(a.x) && std::isfinite(a.y); }

// A turn about the origin, its sine and cosine taken once.
class Rotation {
 public:
  explicit Rotation(double angle) : cos_(std::cos(angle)), sin_(std::sin(angle)) {}
  Vec2 apply(Vec2 a) const { return {cos_ * a.x - sin_ * a.y, sin_ * a.x + cos_ * a.y}; }
  Vec2 undo(Vec2 a) const { return {cos_ * a.x + sin_ * a.y, cos_ * a.y - sin_ * a.x}; }

 private:
  double cos_, sin_;
};

// What a Push-T scene consists of. The block's place is that of its own point (0, 0), the middle
// of the bar's outer edge; its angle is not wrapped.
struct PushtState {
  Vec2 agent;
  Vec2 block;
  double angle = 0;

  bool operator==(const PushtState&) const = default;
};

// Throws Error, naming the number, when one is NaN, infinite or further than kPushtFurthest from 0.
void check_pusht_state(const PushtState& state);
// The same for the target that an agent is sent to.
void check_pusht_action(Vec2 target);
// No scene is near it; beyond it sums of squares would lose the pixels.
inline constexpr double kPushtFurthest = 1e6;

inline constexpr double kPushtWindow = 512;
inline constexpr double kAgentRadius = 15;
// The corners of the walls' centre lines, (5, 5) and (506, 506), and half their thickness.
inline constexpr double kWallNear = 5;
inline constexpr double kWallFar = 506;
inline constexpr double kWallRadius = 2;

using Quad = std::array<Vec2, 4>;     // a convex polygon, corners in the sense of x to y
using Outline = std::array<Vec2, 8>;  // of the T, corners in the same sense

// The block in its own coordinates: two rectangles that share an edge.
inline constexpr std::array<Quad, 2> kBlockParts = {{
    {{{-60, 0}, {60, 0}, {60, 30}, {-60, 30}}},     // bar
    {{{-15, 30}, {15, 30}, {15, 120}, {-15, 120}}}  // stem
}};
inline constexpr Outline kBlockOutline = {
    {{-60, 0}, {60, 0}, {60, 30}, {15, 30}, {15, 120}, {-15, 120}, {-15, 30}, {-60, 30}}};
inline constexpr double kBlockArea = 120 * 30 + 30 * 90;
// Mean of the two parts' centroids, not weighted by area: the environment's own choice.
inline constexpr Vec2 kBlockCentre = {0, 45};

// Where the block shall lie.
inline constexpr Vec2 kGoalBlock = {256, 256};
inline constexpr double kGoalAngle = std::numbers::pi / 4;

// The block's parts, or its outline, where `state` has them.
std::array<Quad, 2> block_parts(Vec2 block, double angle);
Outline block_outline(Vec2 block, double angle);

// Euclidean distance from a point, in the block's own coordinates, to the block; 0 inside.
double distance_to_block(Vec2 local);

}  // namespace reprise
