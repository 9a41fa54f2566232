#include "support/chipmunk_pusht.h"

#include <chipmunk/chipmunk.h>

#include <array>

namespace reprise {
namespace {

struct FreeSpace {
  void operator()(cpSpace* space) const { cpSpaceFree(space); }
};
struct FreeBody {
  void operator()(cpBody* body) const { cpBodyFree(body); }
};
struct FreeShape {
  void operator()(cpShape* shape) const { cpShapeFree(shape); }
};

// gym-pusht's own numbers, not those of pusht_geometry.h.
constexpr std::array<cpVect, 4> kBar = {{{-60, 30}, {60, 30}, {60, 0}, {-60, 0}}};
constexpr std::array<cpVect, 4> kStem = {{{-15, 30}, {-15, 120}, {15, 120}, {15, 30}}};
constexpr std::array<cpVect, 5> kWallCorners = {{{5, 506}, {5, 5}, {506, 5}, {506, 506}, {5, 506}}};
constexpr double kDt = 0.01;

Vec2 point(cpVect v) { return {v.x, v.y}; }

}  // namespace

// Members in the order in which they are made; freed backwards, shapes before bodies and space.
struct ChipmunkPusht::Space {
  Space() : space(cpSpaceNew()) {
    cpSpaceSetDamping(space.get(), 0);
    for (size_t i = 0; i < 4; ++i) {
      walls[i].reset(cpSegmentShapeNew(cpSpaceGetStaticBody(space.get()), kWallCorners[i],
                                       kWallCorners[i + 1], 2));
      cpSpaceAddShape(space.get(), walls[i].get());
    }
    agent.reset(cpBodyNewKinematic());
    disc.reset(cpCircleShapeNew(agent.get(), 15, cpvzero));
    cpBodySetPosition(agent.get(), {256, 400});
    cpSpaceAddBody(space.get(), agent.get());
    cpSpaceAddShape(space.get(), disc.get());

    const double moment = cpMomentForPoly(1, 4, kBar.data(), cpvzero, 0);
    block.reset(cpBodyNew(1, moment + moment));
    bar.reset(cpPolyShapeNew(block.get(), 4, kBar.data(), cpTransformIdentity, 0));
    stem.reset(cpPolyShapeNew(block.get(), 4, kStem.data(), cpTransformIdentity, 0));
    const cpVect centres =
        cpvadd(cpShapeGetCenterOfGravity(bar.get()), cpShapeGetCenterOfGravity(stem.get()));
    cpBodySetCenterOfGravity(block.get(), cpvmult(centres, 0.5));
    cpBodySetPosition(block.get(), {256, 300});
    cpSpaceAddBody(space.get(), block.get());
    cpSpaceAddShape(space.get(), bar.get());
    cpSpaceAddShape(space.get(), stem.get());
  }
  ~Space() {
    for (cpShape* shape : {bar.get(), stem.get(), disc.get()}) {
      cpSpaceRemoveShape(space.get(), shape);
    }
    for (const auto& wall : walls) cpSpaceRemoveShape(space.get(), wall.get());
    cpSpaceRemoveBody(space.get(), block.get());
    cpSpaceRemoveBody(space.get(), agent.get());
  }
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  std::unique_ptr<cpSpace, FreeSpace> space;
  std::unique_ptr<cpBody, FreeBody> agent, block;
  std::array<std::unique_ptr<cpShape, FreeShape>, 4> walls;
  std::unique_ptr<cpShape, FreeShape> disc, bar, stem;
};

ChipmunkPusht::ChipmunkPusht(const PushtState& state, PlacedBy placed_by)
    : space_(std::make_unique<Space>()) {
  cpBodySetPosition(space_->agent.get(), {state.agent.x, state.agent.y});
  const cpVect block = {state.block.x, state.block.y};
  // The angle turns the block about its centre of gravity and so moves the position set before.
  if (placed_by == PlacedBy::kLegacy) cpBodySetPosition(space_->block.get(), block);
  cpBodySetAngle(space_->block.get(), state.angle);
  if (placed_by == PlacedBy::kExact) cpBodySetPosition(space_->block.get(), block);
  cpSpaceStep(space_->space.get(), kDt);
}

ChipmunkPusht::~ChipmunkPusht() = default;

void ChipmunkPusht::control(Vec2 target) {
  cpBody* agent = space_->agent.get();
  for (int32_t i = 0; i < 10; ++i) {
    const cpVect left = cpvsub({target.x, target.y}, cpBodyGetPosition(agent));
    const cpVect velocity = cpBodyGetVelocity(agent);
    const cpVect acceleration = cpvsub(cpvmult(left, 100), cpvmult(velocity, 20));
    cpBodySetVelocity(agent, cpvadd(velocity, cpvmult(acceleration, kDt)));
    cpSpaceStep(space_->space.get(), kDt);
  }
}

PushtState ChipmunkPusht::state() const {
  return {point(cpBodyGetPosition(space_->agent.get())),
          point(cpBodyGetPosition(space_->block.get())), cpBodyGetAngle(space_->block.get())};
}

}  // namespace reprise
