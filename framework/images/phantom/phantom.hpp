// Generates radiograph-like frontal chests, for tests, tutorials and sanity checks without patient data. The
// drawing follows the anatomy of a postero-anterior film (patient's right on the image's left) but is no
// simulation: numbers measured on phantoms say that code works, never that a method works on patients.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <string_view>

#include "images/manifest.hpp"

namespace hearth::images {

enum class Lesion { none, nodule, consolidation, effusion, pneumothorax, cardiomegaly };
inline constexpr std::array lesions = {Lesion::nodule, Lesion::consolidation, Lesion::effusion,
                                       Lesion::pneumothorax, Lesion::cardiomegaly};

/// "normal" for Lesion::none, else the enumerator's name.
std::string to_string(Lesion lesion);
/// Inverse of to_string; throws RecipeError with the nearest name.
Lesion lesion_from(std::string_view name);

struct Phantom {
    cv::Mat image;  ///< CV_32F [S, S] in [0, 1]
    cv::Mat mask;   ///< CV_32F [S, S], 1 in the lesion, else 0
    Lesion lesion = Lesion::none;
    std::string location;  ///< such as "right upper lung"; empty without a lesion
    cv::Rect box;          ///< around the mask; empty without a lesion
};

/// One film. The same (seed, subject) is the same chest, exposure and noise at every size and with every
/// lesion, so a film with a lesion and the film without it differ only near the mask.
///
///     Phantom ill = draw_phantom(0, 17, Lesion::nodule, 224), well = draw_phantom(0, 17, Lesion::none, 224);
Phantom draw_phantom(std::uint64_t seed, std::uint64_t subject, Lesion lesion, int size);

struct PhantomOptions {
    int size = 224;
    std::uint64_t seed = 0;
    double lesion_share = 0.5;  ///< share of subjects with a lesion; the five kinds are equally frequent
    int workers = 0;            ///< threads; 0: one for each core. The files do not depend on it.
};

/// The lesion of a subject in a set: a function of (options.seed, options.lesion_share, subject) alone.
Lesion lesion_of(std::uint64_t subject, const PhantomOptions& options);

/// The split of a subject: of each ten subjects seven train, one val, two test.
std::string split_of(std::uint64_t subject, std::uint64_t seed);

/// Writes images/NNNNN.png, masks/NNNNN.png (subjects with a lesion) and manifest.csv, and returns that
/// manifest. Columns: path, patient, label (normal, nodule, ...), abnormal (0, 1), mask (relative path or
/// none), location, split (of each ten subjects seven train, one val, two test).
Manifest write_phantoms(const std::filesystem::path& folder, int count, const PhantomOptions& options = {});

}  // namespace hearth::images
