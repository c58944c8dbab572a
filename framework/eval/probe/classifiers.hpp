// Two classifiers work on frozen features: a linear probe and weighted nearest neighbours. They return
// probabilities (float64): of classes [N, C], or of several labels [N, K], each of which holds or not by
// itself.
#pragma once

#include "eval/probe/features.hpp"

namespace hearth::eval {

/// What the rows are told apart by.
struct Task {
    std::size_t classes = 2;  ///< C, or of several labels K
    bool several = false;
    bool binary() const { return classes == 2 && !several; }
};

/// What a classifier says of the test rows.
struct Answers {
    at::Tensor probabilities;  ///< [N, C] or [N, K]
    /// Of best F1 on the held-out training patients: one where there are two classes, one for each of several
    /// labels, none for more classes; empty for a classifier that chooses none.
    std::vector<double> thresholds;
    std::vector<double> l2;                      ///< linear: one, or one for each label
    double learning_rate = 0, weight_decay = 0;  ///< attentive
    std::int64_t neighbours = 0;  ///< k-NN: k, or the fewest training rows that any label or fold had
};

/// Training rows without those of a fifth of the patients, and those: what a setting is chosen on. The same
/// patients for the same seed, whatever is asked of them.
struct Division {
    std::vector<std::int64_t> fitted, held;
};
Division hold_out(const std::vector<int>& patients, std::uint64_t seed);

/// The labels of these rows.
std::vector<int> labels_of(const FeatureSet& set, const Task& task, const std::vector<std::int64_t>& rows);

/// The AUC that settings are chosen by: of class 1, macro one-vs-rest, or the mean over the labels that have
/// one. Probabilities and labels are those of some rows.
double selection_auc(const at::Tensor& probabilities, const Task& task, const std::vector<int>& labels);
/// Thresholds of best F1 on some rows, as in Answers; 0.5 where there is no positive.
std::vector<double> best_thresholds(const at::Tensor& probabilities, const Task& task,
                                    const std::vector<int>& labels);
/// The numbers of a tensor in their order.
std::vector<double> numbers_of(const at::Tensor& tensor);

struct LinearProbe {
    at::Tensor probabilities;              ///< of the test rows
    double l2 = 0;                         ///< chosen on held-out training patients
    double threshold = 0.5;                ///< binary: the probability of best F1 on the same held-out patients
    at::Tensor mean, scale, weight, bias;  ///< logits of features x: (x - mean) / scale * weight + bias
};

/// Multinomial logistic regression on standardised features, L-BFGS, full batch. The L2 strength is the one of
/// {1e-4 .. 1} with the best AUC on a fifth of the training patients; the final fit uses all training rows.
/// Deterministic.
LinearProbe linear_probe(const FeatureSet& train, const FeatureSet& test, std::size_t classes,
                         std::uint64_t seed);

/// linear_probe of classes; of several labels one probe each, on the training rows where that label is known,
/// with an L2 of its own: what a label gets does not depend on which others there are.
Answers linear_answers(const FeatureSet& train, const FeatureSet& test, const Task& task, std::uint64_t seed);

/// Cosine similarity, k neighbours, votes weighted by exp(similarity / 0.07) (Wu et al. 2018; Caron et al.
/// 2021). Computed on the device of the features, with 64 MiB of similarities at a time.
at::Tensor knn(const FeatureSet& train, const FeatureSet& test, std::size_t classes, std::int64_t k);

/// knn of classes; of several labels the share of the votes for 1 among the k nearest training rows where that
/// label is known, 0.5 where it is known nowhere.
Answers knn_answers(const FeatureSet& train, const FeatureSet& test, const Task& task, std::int64_t k);

}  // namespace hearth::eval
