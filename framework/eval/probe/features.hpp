// Reads frozen features of a labelled data set, which linear probes and nearest neighbours work on.
#pragma once

#include <functional>
#include <hearth/error.hpp>
#include <string>
#include <vector>

#include "data/labels.hpp"
#include "plan/plan.hpp"
#include "train/training_data.hpp"

namespace hearth::eval {

using data::Labels;

/// data::read_labels with the columns that a recipe names.
Labels read_labels(const data::Dataset& dataset, const recipe::LabelledSpec& spec,
                   std::vector<std::string> classes);

/// A split with labels.
struct LabelledSet {
    std::shared_ptr<const data::Dataset> images;
    Labels labels;
    std::vector<std::string> notes = {};  ///< what a result on these images has to say of them
};
/// What tests the films of a table without splits.
inline constexpr const char* folds_instead =
    "test all of its films in turn, by folds = 5, train_where = \"\" and test_where = \"\" in this section";

/// The rows of a labelled data set that a filter selects, images sized as the recipe says.
std::shared_ptr<const data::Dataset> open_rows(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                               const std::string& where);
/// What components are told when nothing is trained.
Context evaluation_context(c10::Device device);
/// Whether networks are evaluated in bf16: on a GPU where they are trained so. A CPU evaluates in fp32.
bool evaluates_in_bf16(const recipe::Recipe& recipe, c10::Device device);
/// How many images a frozen network is given at once: 64, on a GPU up to 256, where they are no more than 16 Mi
/// pixels.
std::int64_t evaluation_batch(const recipe::DataSpec& data, c10::Device device);
/// The rows of train_where, whatever becomes of them.
LabelledSet open_pool(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec);
/// The training and the test split of a labelled data set, images sized as the recipe's [data] says. With
/// `folds` the first fold of the rows of train_where is the test split. With data.folds the rows of train_where
/// are divided as those of [data] were, and the fold is the test split; [data] then has to read the same rows
/// and label. `fraction` is applied to the training split. Throws RecipeError where the test split has films or
/// patients that were fitted on (apart.hpp); the notes of the test split are what remains to be said. `trained`
/// are the images of [data] where they are open already.
std::pair<LabelledSet, LabelledSet> open_splits(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                                const data::Dataset* trained = nullptr);
/// What a section is evaluated on at the end: open_splits(), but with `folds` all rows of train_where on both
/// sides, since each fold is tested in its turn. Throws DataError where there are fewer patients than folds.
std::pair<LabelledSet, LabelledSet> open_evaluated(const recipe::Recipe& recipe,
                                                   const recipe::LabelledSpec& spec,
                                                   const data::Dataset* trained = nullptr);
/// open_splits() without the comparison.
std::pair<LabelledSet, LabelledSet> divide_rows(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec);
/// The rows of validation_where; without it the images that were trained on, or the training split where [data]
/// reads no labels.
LabelledSet open_validation(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                            const LabelledSet& train, const train::TrainingData& trained_on);

/// Images of a set that a result has to speak of, each once, with what is odd about it.
struct OddImages {
    std::vector<data::Quarantined> unreadable = {};    ///< labelled ones: they are left out
    std::vector<data::Quarantined> flat = {};          ///< they show next to nothing and are used
    std::vector<data::Quarantined> without_mask = {};  ///< theirs cannot be used: that is left out
};

/// Rows of features with their labels; unlabelled and unreadable images are left out.
struct FeatureSet {
    at::Tensor x;             ///< [N, F], or [N, L, D] patch tokens; float, CPU unless moved
    std::vector<int> labels;  ///< a class each; of several labels [N, K] of 1, 0, or -1 = unknown
    std::vector<int> patients;
    OddImages odd = {};
};

/// One batch of images [B, C, H, W] on the CPU -> features [B, F] or tokens [B, L, D] where they were made.
using Extractor = std::function<at::Tensor(const at::Tensor& images)>;

/// There is no readable, labelled image in a set, so that a result has no value.
struct NothingReadable : DataError {
    explicit NothingReadable(const data::Dataset& images);
};

/// Appends what is known of these images of `set` to the labels and patients of `out`.
void add_rows(FeatureSet& out, const LabelledSet& set, const std::vector<std::int64_t>& images);

/// `device` is the one that `extractor` moves images to. Features stay there until they are 64 MiB, since each
/// copy of them waits for all that was asked of it. The processes of `comm` each extract a part, and all get the
/// rows that one process alone has, bit for bit; of the odd images each has those that it met.
FeatureSet extract(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                   const Extractor& extractor, c10::Device device = c10::kCPU,
                   const Comm& comm = Comm::local());

/// The same for features that take more of the images than their pixels: `rows` are their places in the set.
using RowExtractor = std::function<at::Tensor(const at::Tensor& images, const std::vector<std::int64_t>& rows)>;
FeatureSet extract_rows(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                        const RowExtractor& extractor, c10::Device device = c10::kCPU,
                        const Comm& comm = Comm::local());

/// What the frozen backbone of a network writes for images, moved to the context's device.
Tensors frozen_outputs(const plan::Plan& plan, const std::string& network, const at::Tensor& images,
                       const Context& context, bool bf16 = false);
/// "cls", "mean" (of the tokens) or "cls+mean" of what a backbone wrote, [B, F].
at::Tensor join_features(const Tensors& made, const std::string& which, const std::string& network);
/// Which of these describes an image: what is asked for, or where that is "" what the backbone of the network says.
/// Throws PluginError where it says none of them.
std::string features_of(const plan::Plan& plan, const std::string& network, const std::string& asked);
/// The frozen backbone of a network: features_of() what is asked for, computed in `bf16` or in fp32.
Extractor backbone_features(const plan::Plan& plan, const std::string& network, const std::string& asked,
                            const Context& context, bool bf16 = false);
/// The floor: a fixed Gaussian projection of the pixels to `dimensions`.
Extractor pixel_projection(std::int64_t dimensions, std::uint64_t seed);

/// The network whose backbone is asked for; "" = the first that is trained. `asked` says who asks, "--network"
/// or the place of a recipe. Throws RecipeError with the networks there are for one that has no backbone.
std::string backbone_network(const plan::Plan& plan, const std::string& wanted, const std::string& asked);
/// The same for `network` of [probe] or [eval].
std::string backbone_network(const plan::Plan& plan, const recipe::LabelledSpec& spec);

}  // namespace hearth::eval
