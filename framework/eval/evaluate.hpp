// The evaluation of a run: linear probe and k-NN on frozen features, beside the same backbone untrained and a
// projection of raw pixels, with intervals by patient and the paired difference.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "eval/bootstrap.hpp"
#include "eval/features.hpp"

namespace hearth::eval {

/// Receives a line about how far something is.
using Say = std::function<void(const std::string& line)>;

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

    /// Whether the interval lies above 0.
    bool above() const { return auc.low > 0; }
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
    std::string predicted;  ///< "Pneumonia", "label = bacteria, virus"; "" in files of earlier versions
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

/// The recipe's networks with the weights that a run with its seed starts from.
plan::Plan untrained_plan(const recipe::Recipe& recipe, const host::Registry& registry, c10::Device device);

/// `trained` holds the weights of the run. The untrained backbone is built from the recipe's seed. With
/// eval.head it is that head's answers that are measured instead (head.hpp). `say` is told how far it is where
/// that takes long. Test images that cannot be read or that are of a class without training rows are left out,
/// a class without test images makes an AUC NaN, and without any readable image there are no scores: the notes
/// say so. Throws RecipeError where test rows were fitted on (apart.hpp).
Evaluation evaluate(const recipe::Recipe& recipe, const host::Registry& registry, const plan::Plan& trained,
                    const recipe::LabelledSpec& spec, c10::Device device, const Say& say = {});

/// That score, or null.
const Score* find_score(const Evaluation& evaluation, const std::string& classifier, const std::string& model);

/// Column c of [N, C].
std::vector<double> column(const std::vector<double>& table, std::size_t columns, std::size_t c);

/// The AUC of resampled rows of probabilities [N, C]: of class 1 where there are two classes, else one-vs-rest,
/// averaged; with labels [N, C] the mean over those that have one. The arguments have to outlive it.
Statistic auc_statistic(const std::vector<double>& probabilities, std::size_t classes,
                        const std::vector<int>& labels);

nlohmann::json to_json(const Evaluation& evaluation);
Evaluation evaluation_from_json(const nlohmann::json& json);

/// The probe that training calls: AUC and accuracy of k-NN on the features so far; of several labels the means.
/// NaN where no image can be read.
std::vector<std::pair<std::string, double>> quick_probe(const recipe::Recipe& recipe,
                                                        const recipe::LabelledSpec& spec,
                                                        const std::pair<LabelledSet, LabelledSet>& splits,
                                                        const plan::Plan& plan, const Context& context);

/// How well image-shaped outputs approach their targets where the input differs from them (a synthetic lesion,
/// say).
struct Restoration {
    std::string output, input, target;  ///< dataflow names
    double input_error = 0;   ///< mean |input - target| over the pixels where they differ, [0, 1] units
    double output_error = 0;  ///< mean |output - target| there
    double elsewhere = 0;     ///< mean |output - target| over the other pixels
    double psnr_input = 0, psnr_output = 0;  ///< dB inside the changed pixels
    std::int64_t images = 0;
};
/// Example tensors for pictures: dataflow name -> [N, C, H, W], and the measured restorations. The first views
/// of a group are called "global 1", "global 2" .. Uses the recipe's own data source.
struct Examples {
    Tensors tensors;
    std::vector<std::string> views, outputs;
    std::vector<Restoration> restorations;
};
Examples make_examples(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device,
                       std::int64_t images);

}  // namespace hearth::eval
