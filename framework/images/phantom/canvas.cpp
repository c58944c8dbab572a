#include "images/phantom/canvas.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace hearth::images::phantom {
namespace {

constexpr int subpixel_bits = 6;

std::vector<cv::Point> to_fixed(const Canvas& canvas, const Points& outline) {
    std::vector<cv::Point> fixed;
    fixed.reserve(outline.size());
    for (const Point& point : outline) {
        const Point pixel = canvas.place(point);
        fixed.emplace_back(cvRound(pixel.x * (1 << subpixel_bits)), cvRound(pixel.y * (1 << subpixel_bits)));
    }
    return fixed;
}

}  // namespace

Points smooth(const Points& points, int steps) {
    Points curve;
    curve.reserve((points.size() - 1) * static_cast<std::size_t>(steps) + 1);
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
        const Point b = points[i], c = points[i + 1];
        const Point a = i > 0 ? points[i - 1] : b, d = i + 2 < points.size() ? points[i + 2] : c;
        for (int step = 0; step < steps; ++step) {
            const double t = static_cast<double>(step) / steps;
            curve.push_back(0.5 * (2 * b + t * (c - a) + t * t * (2 * a - 5 * b + 4 * c - d) +
                                   t * t * t * (3 * b - a - 3 * c + d)));
        }
    }
    curve.push_back(points.back());
    return curve;
}

Point Canvas::place(Point body) const {
    const double cosine = std::cos(pose_.rotation), sine = std::sin(pose_.rotation);
    const double x = body.x * pose_.scale, y = (body.y - 0.5) * pose_.scale;
    const Point unit(0.5 + pose_.shift.x + x * cosine - y * sine, 0.5 + pose_.shift.y + x * sine + y * cosine);
    return unit * size_ - Point(0.5, 0.5);  // pixel centres are whole numbers
}

void Canvas::fill(cv::Mat& layer, const Points& outline, double value) const {
    const std::vector<std::vector<cv::Point>> polygons{to_fixed(*this, outline)};
    cv::fillPoly(layer, polygons, cv::Scalar(255 * value), cv::LINE_AA, subpixel_bits);
}

void Canvas::band(cv::Mat& layer, const Points& curve, double from, double to, double value) const {
    Points outline(2 * curve.size());
    for (std::size_t i = 0; i < curve.size(); ++i) {
        const Point along = curve[std::min(i + 1, curve.size() - 1)] - curve[i > 0 ? i - 1 : 0];
        const double length = std::max(std::hypot(along.x, along.y), 1e-9);
        const double t = static_cast<double>(i) / static_cast<double>(curve.size() - 1);
        const Point across = Point(-along.y, along.x) * ((from + (to - from) * t) / (2 * length));
        outline[i] = curve[i] + across;
        outline[outline.size() - 1 - i] = curve[i] - across;
    }
    fill(layer, outline, value);
}

void Canvas::ellipse(cv::Mat& layer, Point centre, Point radii, double value, double angle) const {
    Points outline;
    for (int i = 0; i < 24; ++i) {
        const double t = 2 * CV_PI * i / 24;
        const double x = radii.x * std::cos(t), y = radii.y * std::sin(t);
        outline.emplace_back(centre.x + x * std::cos(angle) - y * std::sin(angle),
                             centre.y + x * std::sin(angle) + y * std::cos(angle));
    }
    fill(layer, outline, value);
}

cv::Mat Canvas::soften(const cv::Mat& layer, double sigma) const {
    cv::Mat soft;
    layer.convertTo(soft, CV_32F, 1.0 / 255);
    if (sigma > 0) cv::GaussianBlur(soft, soft, {0, 0}, sigma * size_, 0, cv::BORDER_REPLICATE);
    return soft;
}

cv::Mat lattice_noise(base::SplitMix& random, int cells, int size) {
    cv::Mat lattice(cells, cells, CV_32F);
    for (float* value = lattice.ptr<float>(); value != lattice.ptr<float>() + lattice.total(); ++value) {
        *value = random.quick_normal();
    }
    cv::Mat noise;
    cv::resize(lattice, noise, {size, size}, 0, 0, size < cells ? cv::INTER_AREA : cv::INTER_CUBIC);
    return noise;
}

}  // namespace hearth::images::phantom
