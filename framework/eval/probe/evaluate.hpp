// Evaluates a run: linear probe and k-NN on frozen features, beside the same backbone untrained and a
// projection of raw pixels, with intervals by patient and the paired difference.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "eval/metrics/bootstrap.hpp"
#include "eval/probe/features.hpp"
#include "eval/results.hpp"

namespace hearth::eval {

/// Receives a line about how far something is.
using Say = std::function<void(const std::string& line)>;

/// `trained` holds the weights of the run. The untrained backbone is built from the recipe's seed. With
/// eval.head it is that head's answers that are measured instead (head.hpp). `say` is told how far it is where
/// that takes long. Test images that cannot be read or that are of a class without training rows are left out,
/// a class without test images makes an AUC NaN, and without any readable image there are no scores: the notes
/// say so. Throws RecipeError where test rows were fitted on (apart.hpp).
Evaluation evaluate(const recipe::Recipe& recipe, const host::Registry& registry, const plan::Plan& trained,
                    const recipe::LabelledSpec& spec, c10::Device device, const Say& say = {});

/// Column c of [N, C].
std::vector<double> column(const std::vector<double>& table, std::size_t columns, std::size_t c);

/// The AUC of resampled rows of probabilities [N, C]: of class 1 where there are two classes, else one-vs-rest,
/// averaged; with labels [N, C] the mean over those that have one. The arguments have to outlive it.
Statistic auc_statistic(const std::vector<double>& probabilities, std::size_t classes,
                        const std::vector<int>& labels);

/// The probe that training calls: AUC and accuracy of k-NN on the features so far; of several labels the means.
/// NaN where no image can be read. The processes of context.comm share the features, and get the values that one alone
/// has: the first one; the others get none.
std::vector<std::pair<std::string, double>> quick_probe(const recipe::Recipe& recipe,
                                                        const recipe::LabelledSpec& spec,
                                                        const std::pair<LabelledSet, LabelledSet>& splits,
                                                        const plan::Plan& plan, const Context& context);

}  // namespace hearth::eval
