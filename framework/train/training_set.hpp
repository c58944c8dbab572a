// The whole training set as one component of a plan sees it: what Context::set is while something fits.
//
//     const train::PlanTrainingSet set({recipe, plan, data.images, data.labels, context}, component);
//     set.each([&](const Tensors& in, const at::Tensor& index) { ... });
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.hpp"
#include "data/labels.hpp"
#include "data/loader.hpp"
#include "plan/plan.hpp"

namespace hearth::train {

/// What each() delivers to a component.
struct FitReads {
    const plan::Node* node = nullptr;                        ///< the call of the component whose reads they are
    std::vector<std::pair<std::string, std::string>> ports;  ///< port -> name in the dataflow
    std::set<std::string> outputs;  ///< the names among them that passes, heads and losses write
    std::set<std::string> sources;  ///< what the data have to deliver for all of that
};

/// Of the calls of a component the first whose reads can be made from the data alone, since no augment runs. If
/// there is none, the first of which at least the ports that only a fit reads can, or those that it cannot do
/// without where it has no such port; the other ports are left out. Throws RecipeError where that is so of no
/// call.
FitReads reads_for_fit(const plan::Plan& plan, const Component& component);

/// Throws RecipeError where a component that fits could not be given its reads.
void check_fits(const plan::Plan& plan);

/// Plan::outputs without gradients, but for those that a component asks for (Port::gradient()); what comes back
/// has none.
Tensors evaluated(const plan::Plan& plan, const Tensors& views, const std::set<std::string>& names,
                  const Context& context);

/// All have to outlive what is made of it.
struct WholeSet {
    const recipe::Recipe& recipe;
    plan::Plan& plan;
    std::shared_ptr<const data::Dataset> images;
    const data::Labels& labels;  ///< empty without data.label
    Context context;             ///< device, processes, seed and progress
};

class PlanTrainingSet : public TrainingSet {
  public:
    /// Told how many images are done.
    using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

    PlanTrainingSet(WholeSet set, const Component& component, Progress progress = {})
        : set_(std::move(set)), component_(component), progress_(std::move(progress)) {}

    std::int64_t size() const override { return set_.images->size(); }
    /// Batches of train.batch images, in the run's precision; batch k is the work of process k % world_size().
    /// A tensor without a batch axis is given with every batch as it is. Images that cannot be read are left
    /// out. Throws RecipeError as reads_for_fit() does, and on all processes DataError where more than
    /// data.max_bad cannot be read.
    void each(const Use& use) const override;
    /// How many images the last each() left out, on all processes together.
    std::int64_t left_out() const { return left_out_; }

  private:
    struct Batch;
    Batch next(data::Loader& loader, std::int64_t first, const FitReads& reads) const;
    Tensors make(const Tensors& views, const FitReads& reads, const Context& context, bool bf16) const;
    Tensors dummy(const std::set<std::string>& sources) const;
    void refuse_too_many(const data::Loader& loader, std::int64_t met) const;

    WholeSet set_;
    const Component& component_;
    Progress progress_;
    mutable std::int64_t left_out_ = 0;
};

}  // namespace hearth::train
