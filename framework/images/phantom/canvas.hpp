// Draws the phantom: shapes in body coordinates, anti-aliased into 8-bit layers of any size.
// Body coordinates (u, v): u = 0 is the midline, positive to the image's right (the patient's left); v = 0 is
// the top of the image and 1 its bottom; one unit is the image's side.
#pragma once

#include <opencv2/core.hpp>
#include <vector>

#include "base/splitmix.hpp"

namespace hearth::images::phantom {

using Point = cv::Point2d;
using Points = std::vector<Point>;

/// How the patient stands before the detector.
struct Pose {
    double rotation = 0;  ///< radians
    double scale = 1;
    Point shift{0, 0};
};

/// A smooth curve through the points (Catmull-Rom), `steps` pieces between each two.
Points smooth(const Points& points, int steps = 6);

class Canvas {
  public:
    Canvas(int size, const Pose& pose) : size_(size), pose_(pose) {}

    int size() const { return size_; }
    cv::Mat layer() const { return cv::Mat::zeros(size_, size_, CV_8U); }
    /// Fills a polygon with `value` (0 to 1).
    void fill(cv::Mat& layer, const Points& outline, double value = 1) const;
    /// Draws a ribbon along a curve whose width goes from `from` to `to`.
    void band(cv::Mat& layer, const Points& curve, double from, double to, double value = 1) const;
    void ellipse(cv::Mat& layer, Point centre, Point radii, double value = 1, double angle = 0) const;
    /// The layer as CV_32F in [0, 1], blurred by `sigma` (in image sides).
    cv::Mat soften(const cv::Mat& layer, double sigma = 0) const;
    /// The pixel position of a body point.
    Point place(Point body) const;

  private:
    int size_;
    Pose pose_;
};

/// Smooth noise of unit variance at the nodes of a `cells` x `cells` lattice; the same pattern at every size.
cv::Mat lattice_noise(base::SplitMix& random, int cells, int size);

}  // namespace hearth::images::phantom
