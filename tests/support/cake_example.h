#pragma once

#include <cmath>
#include <vector>

#include "core/kernels/window_stats.h"

// The worked example of CAKE's specification (../shared/specs/cake.md, section 7.3; checked in
// double precision by two independent programs): three layers whose queries and keys are waves.
namespace reprise::cake_example {

constexpr int kLayers = 3;
constexpr int kBudget = 16;  // entries a layer, window included
constexpr WindowShape kShape{.n_embd_head = 8,
                             .n_head = 4,
                             .n_head_kv = 2,
                             .n_kv = 40,
                             .n_window = 8,
                             .scale = 0.35355339059327373F};
constexpr double kAmplitude[] = {0.6, 1.5, 2.6};

// Value x of the query of head h at position i, and of the key of KV head g at position j.
inline double q(int il, int h, int i, int x) {
  return kAmplitude[il] * std::sin(0.7 * il + 1.3 * h + 0.31 * i + 0.9 * x);
}
inline double k(int il, int g, int j, int x) {
  return kAmplitude[il] * std::cos(0.5 * il + 0.8 * g + 0.17 * j + 0.6 * x);
}

inline WindowStats stats(int il) {
  std::vector<float> q_window;
  std::vector<float> k_all;
  for (int h = 0; h < kShape.n_head; ++h) {
    for (int i = kShape.n_candidates(); i < kShape.n_kv; ++i) {
      for (int x = 0; x < kShape.n_embd_head; ++x) {
        q_window.push_back(static_cast<float>(q(il, h, i, x)));
      }
    }
  }
  for (int g = 0; g < kShape.n_head_kv; ++g) {
    for (int j = 0; j < kShape.n_kv; ++j) {
      for (int x = 0; x < kShape.n_embd_head; ++x) {
        k_all.push_back(static_cast<float>(k(il, g, j, x)));
      }
    }
  }
  return window_stats(kShape, q_window, k_all);
}

}  // namespace reprise::cake_example
