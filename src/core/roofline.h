#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reprise {

// What a machine allows: an operation on each byte read at most as often as memory brings one, and
// at most as many as the arithmetic makes. Source: Williams, Waterman and Patterson, "Roofline",
// CACM 52(4), 2009.
struct Roofline {
  struct Ceiling {
    std::string name;
    double ops_s = 0;  // > 0; a multiply-add counts two
  };
  // What was reached by something that does ops_a_byte operations for each byte it must read.
  struct Point {
    std::string name;
    double ops_a_byte = 0;  // > 0
    double ops_s = 0;       // > 0
    int32_t colour = 0;     // of html_plot.h
  };
  int64_t setting = 0;  // BenchRow::setting of where it was measured
  double bytes_s = 0;   // > 0
  std::vector<Ceiling> ceilings;
  std::vector<Point> points = {};

  // Operations a byte from which on the ceiling, not memory, is the limit.
  double ridge(const Ceiling& ceiling) const { return ceiling.ops_s / bytes_s; }
};

// Both axes logarithmic: the slope of memory, a roof for each ceiling with a dot and its value on
// the ridge, and the points, which tell their names to the pointer. Empty without ceilings.
std::string roofline_svg(const Roofline& roofline);

}  // namespace reprise
