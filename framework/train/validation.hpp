// Validation measures the losses on rows that are not trained on: what [validate] chooses the best weights by.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.hpp"
#include "plan/plan.hpp"
#include "train/monitor.hpp"
#include "train/training_data.hpp"

namespace hearth::train {

/// The rows of the table of [data] that validate.where selects, with the classes that training has. Throws
/// RecipeError and DataError as open_uncached() does.
TrainingData open_validation(const recipe::Recipe& recipe, const data::Labels& trained);

/// Throws RecipeError where a recipe validates by a term of a loss that is none of `terms` ("LOSS.term").
void require_watched_term(const recipe::Recipe& recipe, const std::vector<std::string>& terms);

class Validation {
  public:
    /// Told how many images are done.
    using Told = std::function<void(std::int64_t done, std::int64_t all)>;

    /// Both references have to outlive it. `rows` are those of open_validation().
    Validation(const recipe::Recipe& recipe, const plan::Plan& plan, TrainingData rows, c10::Device device);

    /// Means over all rows: "total", the weighted loss, summed over phases, then the terms of the losses by
    /// name; batches without a sample of it are left out, and a term without any is NaN. In batches of about
    /// train.batch that are alike in size. The views of an image and what components draw are the same in each
    /// call. `now` is of one process that neither trains nor learns, and the plan in evaluation mode. An image that cannot be read is replaced by the next one, as in
    /// training. Throws DataError where more than data.max_bad cannot.
    Terms measure(Context now, const Told& told = {});
    /// Images met so far that cannot be read.
    std::vector<data::Quarantined> unreadable() const { return loader_->quarantine(); }

  private:
    /// By name, over rows, and the rows of batches in which it has no sample.
    struct Sums {
        Terms of = {{"total", 0}};
        Terms empty = {};
    };
    void add(Tensors batch, const Context& now, Sums& sums) const;

    const recipe::Recipe& recipe_;
    const plan::Plan& plan_;
    std::int64_t images_;
    bool bf16_;
    std::unique_ptr<data::Loader> loader_;
};

/// The one that is watched. Throws RecipeError where it is not among them.
double watched_value(const Terms& values, const recipe::Recipe& recipe);

/// While it lives, components may be fitted to be measured: after it all parameters and buffers are as before.
class StateKeeper {
  public:
    explicit StateKeeper(const plan::Plan& plan);
    ~StateKeeper();
    StateKeeper(const StateKeeper&) = delete;
    StateKeeper& operator=(const StateKeeper&) = delete;

  private:
    std::vector<std::pair<at::Tensor, at::Tensor>> kept_;  ///< a tensor of the plan, and what it held
};

}  // namespace hearth::train
