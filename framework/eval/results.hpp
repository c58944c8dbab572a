// These structures hold what an evaluation found: scores of models under classifiers, differences, a
// segmentation.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/metrics/bootstrap.hpp"

namespace hearth::eval {

/// One model under one classifier.
struct Score {
    std::string model, classifier;  ///< "trained", "untrained", "pixels"; "linear", "knn", "attentive", "head"
    Interval auc{};
    double accuracy = 0, f1 = 0, threshold = 0.5, l2 = 0;
    std::vector<double> probabilities;           ///< [N, C] of the test rows
    std::vector<Interval> class_auc;             ///< several labels: of each, NaN where it has none
    std::vector<double> thresholds;              ///< several labels: of each
    std::vector<double> class_l2;                ///< several labels, linear: of each
    double learning_rate = 0, weight_decay = 0;  ///< attentive
};

struct Difference {
    std::string classifier, model, baseline;
    PairedInterval auc{};
};

/// Dice of a segmentation; see segmentation.hpp.
struct Segmentation {
    Interval dice{};           ///< mean over the test images, interval by patient
    Interval dice_positive{};  ///< over those with something inside; NaN where there are none
    double threshold = 0.5;
    std::int64_t positive = 0;   ///< images with something inside
    std::vector<double> values;  ///< Dice of each test image
    std::vector<int> patients;
    std::string protocol;
};

struct Evaluation {
    std::string predicted;   ///< "Pneumonia", "label = bacteria, virus"; "" in files of earlier versions
    std::int64_t folds = 0;  ///< cross-validation: all images are trained on and tested in turn; 0 = none
    std::vector<std::string> classes;
    bool several = false;  ///< each class holds or not by itself
    /// Of the test rows; with several labels [N, C] of 1, 0 or -1 = unknown. Patients are numbered.
    std::vector<int> labels, patients;
    std::int64_t train_images = 0, test_images = 0, test_patients = 0;
    std::vector<Score> scores;
    std::vector<Difference> differences;  ///< trained less untrained and less pixels, of each classifier
    std::optional<Segmentation> segmentation;
    std::string protocol;            ///< one line, for tables
    std::vector<std::string> notes;  ///< what a reader has to know of the rows before the numbers are trusted
};

/// That score, or null.
const Score* find_score(const Evaluation& evaluation, const std::string& classifier, const std::string& model);

nlohmann::json to_json(const Evaluation& evaluation);
Evaluation evaluation_from_json(const nlohmann::json& json);

}  // namespace hearth::eval
