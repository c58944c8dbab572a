#include "images/phantom/lesion.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace hearth::images::phantom {
namespace {

std::string side_name(Side side) {
    return side == right ? "right" : "left";
}

std::string lung_zone(Side side, double p) {
    return side_name(side) + (p < 0.36 ? " upper lung" : p < 0.64 ? " mid lung" : " lower lung");
}

/// A place in a lung at least `margin` from its edge and clear of the heart.
struct Place {
    Side side;
    double p;
    Point centre;
};
Place place_in_lung(base::SplitMix& random, const Anatomy& a, double margin) {
    const auto to_float = [](const Points& points) {
        return std::vector<cv::Point2f>(points.begin(), points.end());
    };
    const auto heart = to_float(heart_outline(a));
    Place place{};
    for (int attempt = 0; attempt < 200; ++attempt) {
        place.side = random.chance(0.5) ? right : left;
        place.p = random.uniform(0.08, 0.86);
        place.centre = a.at(place.side, random.uniform(0.25, 0.95), place.p);
        const cv::Point2f centre(place.centre);
        const auto lung = to_float(lung_outline(a, place.side).closed());
        const bool clear = cv::pointPolygonTest(heart, centre, true) < -0.3 * margin;
        if (clear && cv::pointPolygonTest(lung, centre, true) > margin) return place;
    }
    return {right, 0.3, a.at(right, 0.55, 0.3)};  // always inside
}

/// A closed outline around `centre` that wobbles like a real margin.
Points blob(base::SplitMix& random, Point centre, Point radii, double wobble) {
    double phase[4];
    for (double& value : phase) value = random.uniform(0, 2 * CV_PI);
    const double turn = random.uniform(0, CV_PI);
    Points outline;
    for (int i = 0; i < 40; ++i) {
        const double t = 2 * CV_PI * i / 40;
        double r = 1;
        for (int k = 0; k < 4; ++k) r += wobble / (k + 1) * std::sin((k + 2) * t + phase[k]);
        const double x = r * radii.x * std::cos(t), y = r * radii.y * std::sin(t);
        outline.emplace_back(centre.x + x * std::cos(turn) - y * std::sin(turn),
                             centre.y + x * std::sin(turn) + y * std::cos(turn));
    }
    return outline;
}

cv::Mat filled(const Canvas& canvas, const Points& outline, double sigma) {
    cv::Mat layer = canvas.layer();
    canvas.fill(layer, outline);
    return canvas.soften(layer, sigma);
}

LesionLayers nodule(base::SplitMix& random, const Anatomy& a, const Canvas& canvas) {
    const double radius = random.uniform(0.018, 0.045);
    const Place place = place_in_lung(random, a, radius);
    LesionLayers lesion;
    lesion.location = lung_zone(place.side, place.p);
    const Points outline = blob(random, place.centre, {radius, radius * random.uniform(0.8, 1.0)}, 0.08);
    lesion.shape = filled(canvas, outline, 0.1 * radius);
    lesion.opacity =
        random.uniform(0.10, 0.24) * filled(canvas, outline, 0.28 * radius);  // a ball: denser inside
    return lesion;
}

LesionLayers consolidation(base::SplitMix& random, const Anatomy& a, const Layers& layers,
                           const Canvas& canvas) {
    const double radius = random.uniform(0.06, 0.12);
    const Place place = place_in_lung(random, a, 0.4 * radius);
    LesionLayers lesion;
    lesion.location = lung_zone(place.side, place.p);
    const Points outline = blob(random, place.centre, {radius, radius * random.uniform(0.65, 1.0)}, 0.16);
    const cv::Mat extent = filled(canvas, outline, 0.22 * radius).mul(layers.lung[place.side]);
    cv::Mat cloud = lattice_noise(random, 18, canvas.size()) + 0.7 * lattice_noise(random, 40, canvas.size());
    cloud = cv::min(cv::max(cloud * 0.30F + 0.85F, 0.15F), 1.4F);
    lesion.shape = extent;
    lesion.opacity = random.uniform(0.10, 0.24) * extent.mul(cloud);
    lesion.emptied = 0.6 * extent;  // vessels drown in airless lung
    return lesion;
}

LesionLayers effusion(base::SplitMix& random, const Anatomy& a, const Layers& layers, const Canvas& canvas) {
    const Side side = random.chance(0.5) ? right : left;
    const double level = random.uniform(0.66, 0.90);  // height fraction of the fluid at its lowest
    const double rise = random.uniform(0.10, 0.20);
    Points outline;
    for (int i = 0; i <= 16; ++i) {  // the meniscus climbs at the chest wall and a little at the mediastinum
        const double q = 0.05 + 1.05 * i / 16;
        outline.push_back(a.at(side, q, level - rise * std::pow(q, 3) - 0.25 * rise * std::pow(1 - q, 4)));
    }
    outline.push_back(a.at(side, 1.1, 1.2));
    outline.push_back(a.at(side, 0.05, 1.2));
    LesionLayers lesion;
    lesion.location = side_name(side) + " costophrenic angle";
    lesion.shape = filled(canvas, outline, 0.010).mul(layers.lung[side]);
    // Full strength up to the diaphragm, whose outline fluid hides.
    lesion.fill = random.uniform(0.72, 0.95) * cv::min(1.7 * lesion.shape, 1.0);
    lesion.emptied = lesion.shape;
    return lesion;
}

LesionLayers pneumothorax(base::SplitMix& random, const Anatomy& a, const Layers& layers,
                          const Canvas& canvas) {
    const Side side = random.chance(0.5) ? right : left;
    const double collapse = random.uniform(0.06, 0.20);
    LungOutline outline = lung_outline(a, side);
    const Point hilum = a.hilum(side);
    for (Point& point : outline.lateral) {  // the lung shrinks towards its hilum, less at the base
        const double p = (point.y - a.top) / (a.base[side] - a.top);
        const double held = std::clamp((p - 0.45) / 0.5, 0.0, 1.0);
        point += collapse * (1 - held * held) * (hilum - point);
    }
    cv::Mat line = canvas.layer();
    canvas.band(line, outline.lateral, 0.0045, 0.0045);
    LesionLayers lesion;
    lesion.location = side_name(side) + " lung";
    cv::Mat shape = layers.lung[side] - filled(canvas, outline.closed(), 0.0035);
    lesion.shape = cv::max(shape, 0.0);
    lesion.emptied = lesion.shape;
    // No line where the lung still touches the chest wall.
    cv::Mat gap;
    cv::GaussianBlur(lesion.shape, gap, {0, 0}, 0.008 * canvas.size());
    const cv::Mat pleura = canvas.soften(line, 0.001).mul(layers.lung[side]).mul(cv::min(4 * gap, 1.0));
    lesion.opacity = random.uniform(0.07, 0.13) * pleura - random.uniform(0.015, 0.045) * lesion.shape;
    return lesion;
}

LesionLayers cardiomegaly(base::SplitMix& random, const Anatomy& a, const Layers& layers,
                          const Canvas& canvas) {
    LesionLayers lesion;
    lesion.location = "heart";
    const double width = random.uniform(1.30, 1.55) * std::max(1.0, 1.04 / a.heart_scale);
    lesion.heart = cv::max(layers.heart, filled(canvas, heart_outline(a, width), 0.005));
    lesion.shape = (lesion.heart - layers.heart).mul(cv::max(layers.lung[right], layers.lung[left]));
    return lesion;
}

}  // namespace

LesionLayers draw_lesion(Lesion lesion, std::uint64_t seed, std::uint64_t subject, const Anatomy& anatomy,
                         const Layers& layers, const Canvas& canvas) {
    base::SplitMix random(seed, subject, 100 + static_cast<std::uint64_t>(lesion));
    switch (lesion) {
        case Lesion::nodule:
            return nodule(random, anatomy, canvas);
        case Lesion::consolidation:
            return consolidation(random, anatomy, layers, canvas);
        case Lesion::effusion:
            return effusion(random, anatomy, layers, canvas);
        case Lesion::pneumothorax:
            return pneumothorax(random, anatomy, layers, canvas);
        case Lesion::cardiomegaly:
            return cardiomegaly(random, anatomy, layers, canvas);
        case Lesion::none:
            break;
    }
    return {};
}

}  // namespace hearth::images::phantom
