// The optimiser is AdamW (Loshchilov & Hutter 2019; adamw.hpp) as self-supervised training uses it: weight
// decay acts on matrices only, lr and decay are scheduled, clipping is per parameter or over all, and layers
// may stay still for the first epochs.
#pragma once

#include <ATen/core/Tensor.h>

#include <hearth/schedule.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "recipe/recipe.hpp"
#include "train/adamw.hpp"

namespace hearth::train {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Does a parameter's name match a pattern: a glob when it has `*` or `?`, else a substring.
bool matches(const std::string& name, const std::string& pattern);

class Optimizer {
  public:
    Optimizer(const recipe::OptimizerSpec& spec, NamedTensors parameters, std::int64_t global_batch,
              std::string name = "");

    /// Of layers without optimizer.layer_decay, or above all others.
    double lr(const Progress& progress) const;
    double weight_decay(const Progress& progress) const { return spec_.weight_decay(progress); }
    /// Decides how much the next step() scales each gradient to clip it as the recipe says, and returns the
    /// norm over all of them. Parameters without a gradient are skipped.
    double clip();
    /// One update of every parameter that has a gradient and is not frozen now; then all of `averages`. Scales
    /// gradients in place where it must.
    void step(const Progress& progress, const std::vector<MovingAverage>& averages = {});
    void zero_grad();
    const NamedTensors& parameters() const { return parameters_; }
    /// Names of parameters without a gradient.
    std::vector<std::string> without_gradient() const;

    /// Moments and step counts by name, for exact resume.
    NamedTensors state() const;
    void load(const NamedTensors& state);

  private:
    /// Throws RecipeError where a pattern of `key` matches no parameter.
    void check_patterns(const std::vector<std::string>& patterns, const char* key) const;
    bool frozen(const std::string& name, const Progress& progress) const;

    recipe::OptimizerSpec spec_;
    std::string name_;
    NamedTensors parameters_;
    std::vector<at::Tensor> average_, square_, steps_;
    std::vector<bool> decays_, clips_slices_;
    std::vector<double> gradient_scales_;  ///< of clip() for the next step()
    /// Parameters that share whether they decay and the factor on lr of their layer.
    std::map<std::pair<bool, double>, std::vector<std::size_t>> groups_;
    double lr_scale_;
};

}  // namespace hearth::train
