// Takes the logits of a trained head as the result of a run: of fine-tuned networks, and of probes that a
// recipe trains.
#pragma once

#include <set>

#include "eval/probe/evaluate.hpp"

namespace hearth::eval {

/// Probabilities [N, K] of the labelled rows of a set, and those rows.
struct Predictions {
    std::vector<double> probabilities;
    std::vector<int> labels;  ///< as data::Labels::of
    std::vector<int> patients;
    OddImages odd = {};
};

/// Calls body(image, logits) for each readable image of a set that has a label (of a set without labels: for
/// each), with what a pass of the plan writes, in `bf16` or in fp32, when each view it is made from is the image
/// itself: logits without the batch axis, on the CPU. Returns what for_each_batch() does. Throws RecipeError for
/// a name that no pass writes.
OddImages for_each_answer(const plan::Plan& plan, const std::string& logits, const LabelledSet& set,
                          const recipe::DataSpec& data, const Context& context, bool bf16,
                          const std::function<void(std::int64_t image, const at::Tensor& logits)>& body);

/// Throws RecipeError where one of these views, which an image stands for, is none.
void check_views(const plan::Plan& plan, const std::set<std::string>& names);

/// softmax, or where there are several labels sigmoid, of the logits of the labelled images. Throws RecipeError
/// where they are not [B, number of classes], NothingReadable without an image.
Predictions predict(const plan::Plan& plan, const std::string& logits, const LabelledSet& set,
                    const recipe::DataSpec& data, const Context& context, bool bf16 = false);

/// [eval] head = "student.logits": one score, classifier "head". Thresholds are those of best F1 on the rows of
/// eval.validation_where, or on the training rows without it.
Evaluation evaluate_head(const recipe::Recipe& recipe, const plan::Plan& trained,
                         const recipe::LabelledSpec& spec, c10::Device device);

}  // namespace hearth::eval
