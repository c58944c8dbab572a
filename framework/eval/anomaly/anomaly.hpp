// Anomaly detection: images scored by what a network knows about normal ones, and how well that separates
// (images) and localises (pixels). docs/detect.md.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "eval/metrics/bootstrap.hpp"
#include "eval/probe/features.hpp"
#include "plan/plan.hpp"

namespace hearth::eval {

/// One score, or their sum. Accuracy, F1, sensitivity and specificity are at the threshold; pixel values are
/// NaN without masks, and where the score has no map.
struct AnomalyResult {
    std::string name;
    double weight = 1;
    Interval auc{};
    double average_precision = 0, threshold = 0, accuracy = 0, f1 = 0, sensitivity = 0, specificity = 0;
    double pixel_auroc = 0, aupro = 0;
    std::vector<double> scores;  ///< of the test rows, in deviations of the normal images from their mean
};

/// The sum's AUC less that of a baseline, on the same test images.
struct BaselineDifference {
    std::string baseline;
    PairedInterval auc{};
};

/// One kind of abnormality against all normal images, by the sum.
struct KindResult {
    std::string kind;
    std::int64_t images = 0;
    Interval auc{};
};

/// A test image with its map: deviations above the normal images' mean, by the sum.
struct HeatMap {
    std::string name, kind;
    bool abnormal = false;
    double score = 0;
    cv::Mat film;  ///< CV_32F in [0, 1]
    cv::Mat map;   ///< CV_32F
    cv::Mat mask;  ///< CV_8U, empty where it is not known
};

struct Detection {
    std::vector<std::string> classes;  ///< normal, abnormal
    std::vector<int> labels, patients;
    std::vector<std::string> names, kinds;  ///< of the test rows; kinds are empty without a column
    std::int64_t normal_images = 0, validation_images = 0, test_images = 0, test_patients = 0;
    std::int64_t images_with_mask = 0;  ///< among the abnormal test images
    std::string threshold_rule, protocol;
    std::vector<std::string> notes;  ///< what a reader has to know of the rows before the numbers are trusted
    std::vector<AnomalyResult> results;  ///< by score; the sum last, where there is one
    /// What pixels alone achieve, without a network: no part of the sum. Empty, like the two after it, in files
    /// of before there were any.
    std::vector<AnomalyResult> baselines;
    std::vector<BaselineDifference> differences;
    std::string baseline_protocol;
    std::vector<KindResult> by_kind;
    std::vector<HeatMap> heat_maps;  ///< not in the JSON; empty where no score has a map

    const AnomalyResult& sum() const { return results.back(); }
};

/// Told how many images of a part ("test images") are done.
using PartProgress = std::function<void(const std::string& part, std::int64_t done, std::int64_t total)>;

/// `plan` holds the weights. Test images that cannot be read are left out, and without an abnormal or a normal
/// one an AUC is NaN: the notes say so. Throws RecipeError without [detect], where it does not fit the plan,
/// and where test images were trained or standardised on (apart.hpp); DataError where the images do not fit it.
/// `progress` is told of each part of the images as it is scored.
Detection detect(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device,
                 const PartProgress& progress = {});

/// The AUC alone that the sum of the scores has on labelled rows, standardised on the normal images: what a
/// training measures in between. NaN where no row of a class can be read, DataError where none at all can.
double quick_detection(const recipe::Recipe& recipe, const LabelledSet& normal, const LabelledSet& rows,
                       const plan::Plan& plan, const Context& context);

nlohmann::json to_json(const Detection& detection);
Detection detection_from_json(const nlohmann::json& json);
/// A row for each test image: path, label, kind, patient, each score, and those of the baselines.
std::string scores_csv(const Detection& detection);

}  // namespace hearth::eval
