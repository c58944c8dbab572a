// The evaluation of a run: linear probe and k-NN on frozen features, beside the same backbone untrained and a
// projection of raw pixels, with intervals by patient and the paired difference.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "eval/bootstrap.hpp"
#include "eval/features.hpp"

namespace hearth::eval {

/// One model under one classifier.
struct Score {
    std::string model, classifier;  ///< "trained", "untrained", "pixels"; "linear", "knn"
    Interval auc{};
    double accuracy = 0, f1 = 0, threshold = 0.5, l2 = 0;
    std::vector<double> probabilities;  ///< [N, C] of the test rows
};

struct Difference {
    std::string classifier, model, baseline;
    PairedInterval auc{};
};

struct Evaluation {
    std::vector<std::string> classes;
    std::vector<int> labels, patients;  ///< of the test rows; patients are numbered
    std::int64_t train_images = 0, test_images = 0, test_patients = 0;
    std::vector<Score> scores;
    std::vector<Difference> differences;  ///< trained - untrained
    std::string protocol;                 ///< one line, for tables
};

/// `trained` holds the weights of the run. The untrained backbone is built from the recipe's seed.
Evaluation evaluate(const recipe::Recipe& recipe, const host::Registry& registry, const plan::Plan& trained,
                    const recipe::LabelledSpec& spec, c10::Device device);

/// The mean over runs of one model's AUC under one classifier, and its interval: every resample draws the same
/// patients for all runs, so that it says how sure the test set is, not how much seeds differ. Without an
/// interval (NaN) where the runs were tested on different rows. No run has the score: nothing.
std::optional<Interval> mean_auc(const std::vector<Evaluation>& runs, const std::string& classifier,
                                 const std::string& model);

nlohmann::json to_json(const Evaluation& evaluation);
Evaluation evaluation_from_json(const nlohmann::json& json);

/// The probe that training calls: AUC and accuracy of k-NN on the features so far.
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
