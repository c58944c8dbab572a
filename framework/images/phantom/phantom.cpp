#include "images/phantom/phantom.hpp"

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/text.hpp>
#include <opencv2/imgproc.hpp>

#include "images/phantom/lesion.hpp"

namespace hearth::images {
namespace {

using namespace phantom;

/// Attenuation along each ray: 0 in air, about 0.2 in lung, 0.55 in the chest wall, 1 in the mediastinum.
cv::Mat compose(const Anatomy& a, const Layers& layers, const LesionLayers& lesion, base::SplitMix& random,
                int size) {
    const cv::Mat& heart = lesion.heart.empty() ? layers.heart : lesion.heart;
    const cv::Mat lungs = cv::max(layers.lung[right], layers.lung[left]);
    const cv::Mat centre = cv::max(layers.mediastinum, heart);
    const cv::Mat air = lungs.mul(1 - 0.88 * centre);

    cv::Mat texture = lattice_noise(random, 14, size) + 0.8 * lattice_noise(random, 40, size);
    texture += 0.9 * lattice_noise(random, 110, size);
    cv::Mat inside_lung = 0.12 * layers.vessels + a.texture * texture;
    if (!lesion.emptied.empty()) inside_lung = inside_lung.mul(1 - lesion.emptied);

    cv::Mat density = 0.52 * layers.body + 0.23 * layers.abdomen - 0.37 * air;
    // Heart and great vessels lie above the diaphragm: their shadows end in that of the abdomen.
    density += (0.17 * layers.mediastinum + 0.17 * heart).mul(1 - 0.85 * layers.abdomen);
    density += inside_lung.mul(air) - 0.13 * layers.trachea + layers.soft;
    density += layers.spine.mul(0.15 - 0.04 * heart) +
               layers.bones.mul(layers.body).mul(1 - 0.45 * cv::max(layers.abdomen, centre));
    density += 0.025 * lattice_noise(random, 6, size).mul(layers.body);
    if (!lesion.opacity.empty()) density += lesion.opacity;
    if (!lesion.fill.empty()) density += lesion.fill.mul(lesion.fill_density - density);
    return cv::max(density, 0.0);
}

/// Beam, exposure, blur, quantum noise and film curve; nothing here looks at the image as a whole.
cv::Mat expose(const Anatomy& a, const cv::Mat& density, base::SplitMix& random) {
    const int size = density.rows;
    cv::Mat film;
    cv::exp(-a.exposure * density, film);
    film = 1 - film;
    cv::pow(film, a.gamma, film);
    for (int y = 0; y < size; ++y) {
        const double v = (y + 0.5) / size - 0.5;
        float* row = film.ptr<float>(y);
        for (int x = 0; x < size; ++x) {
            const double u = (x + 0.5) / size - 0.5;
            row[x] *= static_cast<float>(1 + a.beam.x * u + a.beam.y * v - 0.10 * (u * u + v * v));
        }
    }
    cv::GaussianBlur(film, film, {0, 0}, a.blur * size, 0, cv::BORDER_REPLICATE);
    // Fewer photons behind dense tissue: more noise there. The grain has a size of its own, 1/320 of the film.
    film += lattice_noise(random, 320, size).mul(a.dose_noise * (0.35 + film));
    return 0.03 + 0.94 * cv::min(cv::max(film, 0.0), 1.0);
}

}  // namespace

std::string to_string(Lesion lesion) {
    switch (lesion) {
        case Lesion::none:
            return "normal";
        case Lesion::nodule:
            return "nodule";
        case Lesion::consolidation:
            return "consolidation";
        case Lesion::effusion:
            return "effusion";
        case Lesion::pneumothorax:
            return "pneumothorax";
        case Lesion::cardiomegaly:
            return "cardiomegaly";
    }
    throw Error(ExitCode::internal, "not a lesion: " + std::to_string(static_cast<int>(lesion)));
}

Lesion lesion_from(std::string_view name) {
    std::vector<std::string> names{to_string(Lesion::none)};
    if (name == names.front()) return Lesion::none;
    for (const Lesion lesion : lesions) {
        names.push_back(to_string(lesion));
        if (name == names.back()) return lesion;
    }
    throw RecipeError("unknown lesion '" + std::string(name) + "'" + did_you_mean(name, names) +
                      "; expected one of " + join(names));
}

Phantom draw_phantom(std::uint64_t seed, std::uint64_t subject, Lesion lesion, int size) {
    if (size < 16 || size > 4096) {
        throw RecipeError("phantom: found size " + std::to_string(size) + "; expected 16 to 4096 pixels");
    }
    const Anatomy anatomy = draw_anatomy(seed, subject);
    const Canvas canvas(size, anatomy.pose);
    const Layers layers = draw_layers(anatomy, canvas);
    const LesionLayers drawn = draw_lesion(lesion, seed, subject, anatomy, layers, canvas);

    base::SplitMix noise(anatomy.noise_seed);
    Phantom result;
    result.image = expose(anatomy, compose(anatomy, layers, drawn, noise, size), noise);
    result.lesion = lesion;
    result.location = drawn.location;
    result.mask = cv::Mat::zeros(size, size, CV_32F);
    if (!drawn.shape.empty()) {
        double peak = 0;  // below one for a lesion smaller than a pixel
        cv::minMaxLoc(drawn.shape, nullptr, &peak);
        cv::threshold(drawn.shape, result.mask, 0.5 * std::min(peak, 1.0), 1.0, cv::THRESH_BINARY);
        cv::Mat bytes;
        result.mask.convertTo(bytes, CV_8U);
        result.box = cv::boundingRect(bytes);
    }
    return result;
}

}  // namespace hearth::images
