// The anatomy of one phantom is what varies between subjects, the outlines that follow from it, and its drawn
// layers.
#pragma once

#include <array>
#include <cstdint>

#include "images/phantom/canvas.hpp"

namespace hearth::images::phantom {

/// Index of a lung: the patient's right is on the image's left.
enum Side : std::size_t { right = 0, left = 1 };
inline double sign(Side side) {
    return side == right ? -1.0 : 1.0;
}

/// What is drawn once per subject. Lengths are in image sides.
struct Anatomy {
    Pose pose;
    double half_width = 0;         ///< midline to the lateral chest wall at the base
    double top = 0;                ///< v of the lung apices
    std::array<double, 2> base{};  ///< v of the costophrenic angles
    double heart_scale = 1, heart_tilt = 0;
    double aorta_radius = 0;
    double rib_drop = 0, rib_width = 0, rib_contrast = 0, rib_shift = 0;
    double clavicle_lift = 0;
    double shoulder = 0, waist = 0;
    double breast = 0;  ///< strength of the breast shadows, often 0
    double stomach_bubble = 0;
    bool marker = false;
    double exposure = 0, gamma = 0, blur = 0, dose_noise = 0, texture = 0;
    Point beam{0, 0};  ///< brightness gradient
    std::uint64_t vessel_seed = 0, noise_seed = 0;

    /// Body point at lateral fraction q (0 midline, 1 chest wall) and height fraction p (0 apex, 1 base).
    Point at(Side side, double q, double p) const;
    Point hilum(Side side) const;
};

Anatomy draw_anatomy(std::uint64_t seed, std::uint64_t subject);

/// A lung's outline in three curves that meet at corners.
struct LungOutline {
    Points lateral;    ///< apex to costophrenic angle
    Points diaphragm;  ///< costophrenic to cardiophrenic angle
    Points medial;     ///< cardiophrenic angle back to the apex
    Points closed() const;
};
LungOutline lung_outline(const Anatomy& anatomy, Side side);
Points heart_outline(const Anatomy& anatomy, double enlarged = 1);

/// Layers, CV_32F in [0, 1].
struct Layers {
    cv::Mat body, abdomen, mediastinum, heart, spine, trachea, vessels, bones, soft;
    std::array<cv::Mat, 2> lung;
};
Layers draw_layers(const Anatomy& anatomy, const Canvas& canvas);
/// The pulmonary vessels of both lungs; not yet clipped to the lungs.
cv::Mat draw_vessels(const Anatomy& anatomy, const Canvas& canvas);
/// Ribs, clavicles, scapulae and humeral heads, weighted by their density.
cv::Mat draw_bones(const Anatomy& anatomy, const Canvas& canvas);

}  // namespace hearth::images::phantom
