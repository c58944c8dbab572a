#include "images/phantom/anatomy.hpp"

#include <algorithm>
#include <cmath>

namespace hearth::images::phantom {

Point Anatomy::at(Side side, double q, double p) const {
    return {sign(side) * q * half_width, top + p * (base[side] - top)};
}

Point Anatomy::hilum(Side side) const {
    return at(side, 0.22, side == right ? 0.47 : 0.43);
}

Anatomy draw_anatomy(std::uint64_t seed, std::uint64_t subject) {
    base::SplitMix random(seed, subject, 1);
    Anatomy a;
    a.pose.rotation = random.uniform(-0.045, 0.045);
    a.pose.scale = random.uniform(0.94, 1.05);
    a.pose.shift = {random.uniform(-0.02, 0.02), random.uniform(-0.02, 0.025)};
    a.half_width = random.uniform(0.345, 0.405);
    a.top = random.uniform(0.075, 0.125);
    a.base[right] = random.uniform(0.79, 0.90);
    a.base[left] = a.base[right] + random.uniform(0.005, 0.03);
    a.heart_scale = random.uniform(0.92, 1.14);
    a.heart_tilt = random.uniform(-0.1, 0.1);
    a.aorta_radius = random.uniform(0.030, 0.044);
    a.rib_drop = random.uniform(0.85, 1.2);
    a.rib_width = random.uniform(0.020, 0.026);
    a.rib_contrast = random.uniform(0.7, 1.25);
    a.rib_shift = random.uniform(-0.02, 0.02);
    a.clavicle_lift = random.uniform(0.03, 0.075);
    a.shoulder = random.uniform(-0.03, 0.03);
    a.waist = random.uniform(-0.02, 0.04);
    a.breast = std::max(0.0, random.uniform(-0.8, 1.0));
    a.stomach_bubble = std::max(0.0, random.uniform(-0.4, 1.0));
    a.marker = random.chance(0.6);
    a.exposure = random.uniform(1.45, 2.3);
    a.gamma = random.uniform(0.85, 1.25);
    a.blur = random.uniform(0.0016, 0.0034);
    a.dose_noise = random.uniform(0.008, 0.022);
    a.texture = random.uniform(0.012, 0.026);
    a.beam = {random.uniform(-0.07, 0.07), random.uniform(-0.07, 0.07)};
    a.vessel_seed = random.bits();
    a.noise_seed = random.bits();
    return a;
}

Points LungOutline::closed() const {
    Points all = lateral;
    all.insert(all.end(), diaphragm.begin(), diaphragm.end());
    all.insert(all.end(), medial.begin(), medial.end());
    return all;
}

LungOutline lung_outline(const Anatomy& anatomy, Side side) {
    const auto curve = [&](std::initializer_list<Point> fractions) {
        Points points;
        for (const Point& f : fractions) points.push_back(anatomy.at(side, f.x, f.y));
        return smooth(points);
    };
    return {curve({{0.27, 0.0},
                   {0.42, 0.012},
                   {0.60, 0.075},
                   {0.76, 0.19},
                   {0.88, 0.36},
                   {0.95, 0.56},
                   {0.985, 0.78},
                   {1.0, 1.0}}),
            curve({{1.0, 1.0}, {0.95, 0.945}, {0.82, 0.885}, {0.62, 0.85}, {0.42, 0.86}, {0.22, 0.91}}),
            curve({{0.22, 0.91},
                   {0.14, 0.80},
                   {0.12, 0.60},
                   {0.12, 0.40},
                   {0.11, 0.22},
                   {0.13, 0.08},
                   {0.18, 0.02},
                   {0.27, 0.0}})};
}

Points heart_outline(const Anatomy& anatomy, double enlarged) {
    // Right border by the right atrium, left border by pulmonary trunk and left ventricle, apex low on the
    // left.
    static const Points shape = {{0.03, 0.37},   {0.19, 0.41},  {0.26, 0.49},  {0.37, 0.60},  {0.48, 0.73},
                                 {0.50, 0.835},  {0.42, 0.91},  {0.15, 0.95},  {-0.14, 0.94}, {-0.26, 0.85},
                                 {-0.285, 0.74}, {-0.25, 0.62}, {-0.17, 0.51}, {-0.08, 0.41}, {0.03, 0.37}};
    const double width = anatomy.heart_scale * enlarged;
    const double height = 1 + 0.35 * (enlarged - 1);
    Points points;
    for (const Point& f : shape) {
        const double p = 0.93 - (0.93 - f.y) * height;
        points.push_back(anatomy.at(left, f.x * width + anatomy.heart_tilt * 0.5 * (f.y - 0.6), p));
    }
    return smooth(points, 4);
}

namespace {

/// Neck, shoulders, arms and trunk; the air of the armpits stays outside.
Points body_outline(const Anatomy& a) {
    const double s = a.shoulder, w = a.waist;
    const Points half = {{0.115, -0.2},     {0.12, -0.02},     {0.17, 0.035 + s / 2}, {0.30, 0.07 + s},
                         {0.43, 0.11 + s},  {0.54, 0.20},      {0.64, 0.36},          {0.56, 0.47},
                         {0.475 + w, 0.56}, {0.465 + w, 0.75}, {0.475 + w, 1.2}};
    Points outline = smooth(half);
    for (std::size_t i = outline.size(); i-- > 0;) outline.emplace_back(-outline[i].x, outline[i].y);
    return outline;
}

Points mediastinum_outline(const Anatomy& a) {
    const double knob = 0.10 + a.aorta_radius / a.half_width;
    const Points shape = {{-0.13, -0.15}, {-0.13, 0.05}, {-0.155, 0.25}, {-0.16, 0.42}, {-0.17, 0.60},
                          {-0.12, 1.1},   {0.12, 1.1},   {0.17, 0.60},   {0.15, 0.42},  {0.135, 0.37},
                          {knob, 0.31},   {knob, 0.265}, {0.14, 0.20},   {0.12, 0.05},  {0.13, -0.15}};
    Points points;
    for (const Point& f : shape) points.push_back(a.at(left, f.x, f.y));
    return smooth(points, 4);
}

cv::Mat draw_spine(const Anatomy& a, const Canvas& canvas) {
    cv::Mat layer = canvas.layer();
    const double pitch = 0.052 * (a.base[right] - a.top) / 0.74;
    canvas.band(layer, {{0, -0.1}, {0, 1.1}}, 0.062, 0.082, 0.35);
    for (int i = -2; i < 22; ++i) {
        const double v = a.top + (i + 0.5) * pitch, half = 0.030 + 0.0006 * i;
        canvas.fill(layer,
                    {{-half, v - 0.4 * pitch},
                     {half, v - 0.4 * pitch},
                     {half, v + 0.4 * pitch},
                     {-half, v + 0.4 * pitch}},
                    0.75);
        canvas.ellipse(layer, {-0.6 * half, v - 0.1 * pitch}, {0.006, 0.009}, 1.0);  // pedicles
        canvas.ellipse(layer, {0.6 * half, v - 0.1 * pitch}, {0.006, 0.009}, 1.0);
        canvas.ellipse(layer, {0, v + 0.25 * pitch}, {0.004, 0.010}, 1.0);  // spinous process
    }
    return canvas.soften(layer, 0.003);
}

cv::Mat draw_trachea(const Anatomy& a, const Canvas& canvas) {
    cv::Mat layer = canvas.layer();
    const Point carina = a.at(left, -0.01, 0.37);
    canvas.band(layer, smooth({{0.004, -0.1}, {0.0, 0.12}, carina}), 0.038, 0.036);
    canvas.band(layer, smooth({carina, a.at(right, 0.10, 0.42), a.at(right, 0.20, 0.47)}), 0.028, 0.016, 0.8);
    canvas.band(layer, smooth({carina, a.at(left, 0.10, 0.41), a.at(left, 0.22, 0.45)}), 0.026, 0.014, 0.7);
    return canvas.soften(layer, 0.005);
}

/// Breast shadows, stomach bubble (negative) and the marker of the patient's left.
cv::Mat draw_soft_tissue(const Anatomy& a, const Canvas& canvas) {
    cv::Mat breasts = canvas.layer(), bubble = canvas.layer(), marker = canvas.layer();
    for (const Side side : {right, left}) {
        canvas.ellipse(breasts, a.at(side, 0.62, 0.70), {0.155, 0.165}, 1.0, sign(side) * 0.3);
    }
    canvas.ellipse(bubble, a.at(left, 0.50, 0.955), {0.062, 0.034}, 1.0, 0.25);
    if (a.marker) {
        canvas.band(marker, {{0.43, 0.045}, {0.43, 0.082}}, 0.008, 0.008);
        canvas.band(marker, {{0.427, 0.082}, {0.452, 0.082}}, 0.008, 0.008);
    }
    return 0.085 * a.breast * canvas.soften(breasts, 0.012) -
           0.20 * a.stomach_bubble * canvas.soften(bubble, 0.008) + 0.9 * canvas.soften(marker);
}

}  // namespace

Layers draw_layers(const Anatomy& a, const Canvas& canvas) {
    Layers layers;
    cv::Mat body = canvas.layer(), abdomen = canvas.layer(), mediastinum = canvas.layer(),
            heart = canvas.layer();
    canvas.fill(body, body_outline(a));
    layers.body = canvas.soften(body, 0.006);

    Points below = {{-0.8, 1.3}, {-0.8, a.base[right]}};
    for (const Side side : {right, left}) {
        const LungOutline outline = lung_outline(a, side);
        cv::Mat lung = canvas.layer();
        canvas.fill(lung, outline.closed());
        layers.lung[side] = canvas.soften(lung, 0.0035);
        if (side == right) below.insert(below.end(), outline.diaphragm.begin(), outline.diaphragm.end());
        if (side == left) below.insert(below.end(), outline.diaphragm.rbegin(), outline.diaphragm.rend());
    }
    below.insert(below.end(), {{0.8, a.base[left]}, {0.8, 1.3}});
    canvas.fill(abdomen, below);
    // Sharp at the domes, gradual at the flanks.
    cv::Mat flanks = canvas.layer();
    const double w = a.half_width;
    canvas.fill(flanks, {{-w, -0.5}, {w, -0.5}, {w, 1.5}, {-w, 1.5}});
    layers.abdomen = canvas.soften(abdomen, 0.006).mul(canvas.soften(flanks, 0.06)).mul(layers.body);

    canvas.fill(mediastinum, mediastinum_outline(a));
    layers.mediastinum = canvas.soften(mediastinum, 0.006);
    canvas.fill(heart, heart_outline(a));
    layers.heart = canvas.soften(heart, 0.005);
    layers.spine = draw_spine(a, canvas);
    layers.trachea = draw_trachea(a, canvas);
    layers.vessels = draw_vessels(a, canvas);
    layers.bones = draw_bones(a, canvas);
    layers.soft = draw_soft_tissue(a, canvas);
    return layers;
}

}  // namespace hearth::images::phantom
