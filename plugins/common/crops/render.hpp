// Renders a crop in one fused pass: resampling, blur, flip, brightness, contrast and solarisation without an
// image in between but the half-resampled one.
#pragma once

#include <vector>

#include "common/crops/draw.hpp"
#include "common/crops/weights.hpp"

namespace hearth::crops {

/// How crops are written.
struct Target {
    int size = 224;
    Interpolation interpolation = Interpolation::bicubic;
    float solarise_threshold = 0.5F;
};

/// load() an image once, render() as many crops of it as wanted. Keeps its buffers; one per thread.
class Renderer {
  public:
    /// `planes` [C, H, W]; values are clamped to [0, 1].
    void load(const float* planes, int channels, int height, int width);
    /// Writes `out` [C, size, size] =
    ///   solarise(clamp(b * (c * z + (1 - c) * mean z))),   z = rows * box * columns^T,
    /// with brightness b, contrast c, and the weights of resampling and blur in `rows` and `columns` (flipped).
    void render(const Crop& crop, const Target& target, float* out);

  private:
    void prepare(const Crop& crop, const Target& target);
    void horizontal(const Box& box, int size, int channel);
    double mean(const Box& box, int size);

    int channels_ = 0, width_ = 0, pitch_ = 0;
    std::vector<float> source_;  // [C, W, pitch]: the planes transposed, so that both passes run along memory
    std::vector<float> middle_;  // [C, box height, padded size]: after the horizontal pass
    std::vector<float> block_;   // some columns of `middle_`, transposed
    std::vector<float> line_, sums_;
    Weights sharp_, rows_, columns_;
};

}  // namespace hearth::crops
