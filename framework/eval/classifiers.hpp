// Classifiers on frozen features: a linear probe and weighted nearest neighbours. Both return class
// probabilities [N, C] (float64).
#pragma once

#include "eval/features.hpp"

namespace hearth::eval {

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

/// Cosine similarity, k neighbours, votes weighted by exp(similarity / 0.07) (Wu et al. 2018; Caron et al.
/// 2021).
at::Tensor knn(const FeatureSet& train, const FeatureSet& test, std::size_t classes, std::int64_t k);

}  // namespace hearth::eval
