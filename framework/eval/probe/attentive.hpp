// An attentive probe reads the frozen patch tokens by one learned query with multi-head cross-attention, and
// a linear layer tells classes from what it gathers. It is for methods whose loss is on patch tokens, which
// need not have their knowledge in a class token or in a mean. As Chen et al. 2022 (CAE,
// https://arxiv.org/abs/2202.03026), El-Nouby et al. 2024 (AIM, https://arxiv.org/abs/2401.08541), Bardes et
// al. 2024 (V-JEPA, https://arxiv.org/abs/2404.08471).
#pragma once

#include "eval/probe/classifiers.hpp"
#include "eval/probe/evaluate.hpp"

namespace hearth::eval {

/// How it is trained: AdamW in fp32 on batches of a fixed order, the learning rate rising over a tenth of the
/// steps and falling as a cosine.
struct AttentiveOptions {
    std::vector<double> learning_rates = {3e-4, 1e-3, 3e-3};
    std::vector<double> weight_decays = {1e-2, 1.0};
    std::int64_t batch = 64;
    std::int64_t least_steps = 500;  ///< of each fit, or ten epochs where that is more
    std::uint64_t seed = 0;
};

/// How many heads attend to tokens of this width: of 64 numbers or a little more each, at least one.
std::int64_t attention_heads(std::int64_t width);

/// `train.x` and `test.x` are tokens [N, L, D]. Every pair of a learning rate and a weight decay is trained
/// side by side without a fifth of the training patients; the pair with the best AUC on these, of several
/// labels the best mean AUC, is trained again on all. Probabilities are a softmax, of several labels sigmoids;
/// a label counts where it is known. Deterministic.
///
///     const auto answers = attentive_answers(train, test, {.classes = 2}, {.seed = 0});
Answers attentive_answers(const FeatureSet& train, const FeatureSet& test, const Task& task,
                          const AttentiveOptions& options, const Say& say = {});

}  // namespace hearth::eval
