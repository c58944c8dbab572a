// Draws the pulmonary vessels of the phantom: trees that leave each hilum, fork, and thin out towards the
// pleura.
#include <algorithm>
#include <cmath>

#include "images/phantom/anatomy.hpp"

namespace hearth::images::phantom {
namespace {

struct Vessel {
    Points curve;
    double from, to;
};

void grow(base::SplitMix& random, std::vector<Vessel>& tree, Point start, double angle, double length,
          double width, int depth) {
    const double bend = random.uniform(-0.25, 0.25);
    const Point middle = start + 0.5 * length * Point(std::cos(angle), std::sin(angle));
    const Point end = middle + 0.5 * length * Point(std::cos(angle + bend), std::sin(angle + bend));
    const double thinner = width * random.uniform(0.68, 0.80);
    tree.push_back({{start, middle, end}, width, thinner});
    if (depth == 0) return;
    const double spread = random.uniform(0.25, 0.55), lean = random.uniform(-0.15, 0.15);
    for (const double fork : {-spread, spread}) {
        const double shorter = length * random.uniform(0.68, 0.92);
        grow(random, tree, end, angle + bend + fork + lean, shorter, thinner * random.uniform(0.75, 1.0),
             depth - 1);
    }
}

}  // namespace

cv::Mat draw_vessels(const Anatomy& a, const Canvas& canvas) {
    base::SplitMix random(a.vessel_seed);
    std::vector<Vessel> tree;
    for (const Side side : {right, left}) {
        // Outwards angles of the trunks: the upper lobe has fewer and thinner ones than the lower (gravity).
        for (const double base : {-1.30, -0.85, -0.30, 0.25, 0.70, 1.05, 1.40}) {
            const double outwards = base + random.uniform(-0.14, 0.14);
            const double angle = side == left ? outwards : CV_PI - outwards;
            const double length = random.uniform(0.070, 0.100) * (a.base[side] - a.top) / 0.74;
            const double width = random.uniform(0.011, 0.017) * (base < 0 ? 0.85 : 1.1);
            const Point hilum = a.hilum(side) + Point(0, 0.045 * base);
            grow(random, tree, hilum, angle, length, width, 4);
        }
    }
    // Thin ones first, so that trunks stay on top; a shadow is as dense as its vessel is thick.
    std::stable_sort(tree.begin(), tree.end(),
                     [](const Vessel& x, const Vessel& y) { return x.from < y.from; });
    cv::Mat layer = canvas.layer(), hila = canvas.layer();
    for (const Vessel& vessel : tree) {
        canvas.band(layer, vessel.curve, vessel.from, vessel.to, std::min(1.0, 0.12 + vessel.from * 50));
    }
    for (const Side side : {right, left}) {
        canvas.ellipse(hila, a.hilum(side), {0.030, 0.052}, 1.0, side == right ? -0.35 : 0.35);
    }
    return canvas.soften(layer, 0.0016) + 0.6 * canvas.soften(hila, 0.018);
}

}  // namespace hearth::images::phantom
