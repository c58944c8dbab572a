// Draws ribs, clavicles, scapulae and humeral heads of the phantom.
#include <algorithm>
#include <cmath>

#include "images/phantom/anatomy.hpp"

namespace hearth::images::phantom {
namespace {

/// A bone's shadow: cortical edges denser than the marrow between them.
void bone(const Canvas& canvas, cv::Mat& layer, const Points& curve, double from, double to, double value) {
    canvas.band(layer, curve, from, to, value);
    canvas.band(layer, curve, 0.5 * from, 0.5 * to, 0.62 * value);
}

struct Rib {
    Points back, front;
};

/// Rib number i: from the spine outwards and down to the chest wall, then forwards, down and inwards to its
/// cartilage.
Rib rib_curve(const Anatomy& a, Side side, int i) {
    const double height = a.base[right] - a.top;
    const double v = a.top + a.rib_shift + (0.105 * i - 0.03) * height;
    const double wall_at = std::clamp((v - a.top) / height + 0.10, 0.0, 1.0);
    // The chest wall widens quickly from the apex, then slowly.
    const double wall =
        a.half_width * (0.44 + 0.58 * std::sin(CV_PI / 2 * std::min(1.0, 0.12 + 1.15 * wall_at)));
    const double drop = a.rib_drop * height * (0.13 + 0.022 * std::min(i, 6));
    const double junction = 0.40 * a.half_width;
    Rib rib;
    for (int step = 0; step <= 10; ++step) {
        const double angle = CV_PI / 2 * step / 10;
        const double out = std::pow(std::sin(angle), 0.85);
        rib.back.emplace_back(sign(side) * (0.03 + (wall - 0.03) * out),
                              v - 0.016 * std::sin(2 * angle) + drop * 0.62 * (1 - std::cos(angle)));
    }
    for (int step = 0; step <= 8; ++step) {
        const double angle = CV_PI / 2 * step / 8;
        rib.front.emplace_back(sign(side) * (junction + (wall - junction) * std::cos(angle)),
                               v + drop * (0.62 + 0.75 * std::sin(angle)));
    }
    return rib;
}

}  // namespace

cv::Mat draw_bones(const Anatomy& a, const Canvas& canvas) {
    cv::Mat backs = canvas.layer(), fronts = canvas.layer(), others = canvas.layer();
    for (const Side side : {right, left}) {
        const double s = sign(side);
        for (int i = 0; i < 10; ++i) {
            const Rib rib = rib_curve(a, side, i);
            bone(canvas, backs, rib.back, 0.9 * a.rib_width, a.rib_width, 1.0);
            if (i < 7) bone(canvas, fronts, rib.front, a.rib_width, 1.25 * a.rib_width, 1.0 - 0.05 * i);
        }
        const double v = a.top + 0.065, lift = a.clavicle_lift;
        const Points clavicle = smooth({{s * 0.032, v + 0.015},
                                        {s * 0.12, v - 0.2 * lift},
                                        {s * 0.22, v - 0.9 * lift},
                                        {s * 0.33, v - lift},
                                        {s * 0.40, v - 0.8 * lift}});
        bone(canvas, others, clavicle, 0.034, 0.024, 1.0);
        const Points scapula = smooth({{s * (a.half_width + 0.005), v + 0.06},
                                       {s * (a.half_width + 0.03), v + 0.20},
                                       {s * (a.half_width + 0.045), v + 0.34}});
        canvas.band(others, scapula, 0.030, 0.012, 0.45);
        canvas.ellipse(others, {s * 0.475, v + 0.035}, {0.052, 0.058}, 0.9);
        canvas.ellipse(others, {s * 0.475, v + 0.035}, {0.040, 0.046}, 0.75);
    }
    // The front ends fade into cartilage, which films hardly show.
    return a.rib_contrast * (0.105 * canvas.soften(backs, 0.0015) + 0.055 * canvas.soften(fronts, 0.004)) +
           0.15 * canvas.soften(others, 0.002);
}

}  // namespace hearth::images::phantom
