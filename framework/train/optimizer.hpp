// An optimiser is a rule (update_rule.hpp) as self-supervised training uses it: weight decay acts on matrices
// only, lr and decay are scheduled, clipping is per parameter or over all, and layers may stay still for the
// first epochs.
#pragma once

#include <ATen/core/Tensor.h>

#include <hearth/schedule.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/name_pattern.hpp"
#include "recipe/recipe.hpp"
#include "train/update_rule.hpp"

namespace hearth::train {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

using base::matches;

/// Throws RecipeError where a pattern of `freeze` or `clip_slices` matches none of the trained parameters.
void check_patterns(const recipe::OptimizerSpec& spec, const NamedTensors& trained);

class Optimizer {
  public:
    /// `name` tells one of several optimisers of a run: its state is called "optimizer.NAME.SLOT.PARAMETER", and
    /// who makes them calls check_patterns() with the parameters of all.
    Optimizer(const recipe::OptimizerSpec& spec, NamedTensors parameters, std::int64_t global_batch,
              const std::string& name = "");

    /// Of layers without optimizer.layer_decay, or above all others.
    double lr(const Progress& progress) const;
    double weight_decay(const Progress& progress) const { return spec_.weight_decay(progress); }
    /// Decides how much the next step() scales each gradient to clip it as the recipe says, and returns the
    /// norm over all of them. Parameters without a gradient are skipped.
    double clip();
    /// One update of every parameter that has a gradient and is not frozen now; then all of `averages`. Scales
    /// gradients in place where it must.
    void step(const Progress& progress, const std::vector<MovingAverage>& averages = {});
    /// Whether clip() and step() are one operation of the device, which decides itself whether there is an update:
    /// AdamW in fp32 that clips no slices, where has_device_update().
    bool updates_on_device() const { return on_device_; }
    /// clip() and step() as that operation, which leaves everything as it is where `loss` (a number of the device;
    /// none: not asked) or the norm is not finite. Returns what device_update() does; nothing waits. Throws
    /// std::logic_error where there is none.
    at::Tensor update_on_device(const Progress& progress, const std::vector<MovingAverage>& averages,
                                const std::optional<at::Tensor>& loss);
    void zero_grad();
    const NamedTensors& parameters() const { return parameters_; }
    /// Names of parameters without a gradient.
    std::vector<std::string> without_gradient() const;

    /// Slots of the rule and step counts by name, for exact resume.
    NamedTensors state() const;
    void load(const NamedTensors& state);

  private:
    bool frozen(const std::string& name, const Progress& progress) const;
    bool fits_device_update() const;
    void count_in(at::Tensor counts);

    recipe::OptimizerSpec spec_;
    NamedTensors parameters_;
    std::unique_ptr<const UpdateRule> rule_;
    std::string prefix_;                          ///< of names of the state
    std::vector<std::vector<at::Tensor>> slots_;  ///< of each parameter, as the rule names them
    at::Tensor counts_,
        next_counts_;                ///< [parameters], of updates; the second is written by update_on_device()
    std::vector<at::Tensor> steps_;  ///< views of counts_
    std::vector<bool> decays_, clips_slices_;
    std::vector<double> gradient_scales_;  ///< of clip() for the next step()
    /// Parameters that share whether they decay and the factor on lr of their layer.
    std::map<std::pair<bool, double>, std::vector<std::size_t>> groups_;
    double lr_scale_;
    bool on_device_ = false;
};

}  // namespace hearth::train
