// Training data are the images that a recipe trains on, as [data] describes them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/labels.hpp"
#include "data/loader.hpp"
#include "plan/plan.hpp"
#include "train/image_cache.hpp"

namespace hearth::train {

/// Images and, with data.label, their labels; data.fraction and data.folds applied.
struct TrainingData {
    std::shared_ptr<const data::Dataset> images;
    data::Labels labels;                  ///< empty without data.label
    ImageCache cache;                     ///< what keeps decoded images; a packed one is in `images` already
    std::vector<std::string> notes = {};  ///< what the user should know, a sentence each
    /// All images of the table as they were opened, and which of them `images` are: nothing for all.
    std::shared_ptr<const data::Dataset> whole = nullptr;
    std::optional<std::vector<std::int64_t>> rows = std::nullopt;
};
/// Throws DataError and RecipeError as data::open_dataset and data::read_labels do. For training `comm` has all
/// processes of the run: with data.cache = "auto" they pack where one of them has no room. Without it images
/// are not cached unless [data] says "packed". Says how far it is where that takes long, unless `quiet`.
TrainingData open_training_data(const recipe::DataSpec& spec, const Comm* comm = nullptr, bool quiet = true);
/// The same without caching anything, whatever [data] says: before a batch or a cache is chosen.
TrainingData open_uncached(const recipe::DataSpec& spec);
/// Such images, cached as `spec` says: for training without opening them again.
TrainingData with_cache(TrainingData opened, const recipe::DataSpec& spec, const Comm* comm, bool quiet);

/// Throws DataError where so many images are fewer than a step of the recipe takes, of one process.
void expect_a_step(const recipe::Recipe& recipe, const plan::Plan& plan, std::int64_t images);

/// Batches as [data] and [train] ask for them, from images that are not kept in memory, with the views of this
/// plan, for a step on `device`. Where the number of workers is Hearth's to choose, the processes of a machine
/// share its cores. `plan` has to outlive a loader of them.
data::LoaderOptions loader_options(const recipe::Recipe& recipe, const plan::Plan& plan,
                                   const data::Labels& labels, const Comm& comm = Comm::local(),
                                   c10::Device device = c10::kCPU);

/// Of these images, batches for Plan::step(). `plan` has to outlive the loader.
std::unique_ptr<data::Loader> step_loader(std::shared_ptr<const data::Dataset> images,
                                          data::LoaderOptions options, const plan::Plan& plan);

}  // namespace hearth::train
