// Layer-wise adaptive rate scaling (You et al. 2017, https://arxiv.org/abs/1708.03888), as self-supervised
// training on large batches uses it: the gradient with its weight decay gets `trust` times the norm of its
// parameter, then goes into SGD with momentum. Biases and one-dimensional parameters keep their gradient. lr
// multiplies the momentum, not what goes into it: a schedule moves all of it at once.
#include <ATen/ATen.h>

#include "train/rules/rules.hpp"

namespace hearth::train::rules {
namespace {

class Lars : public UpdateRule {
  public:
    explicit Lars(const recipe::OptimizerSpec& spec) : trust_(spec.trust), sgd_(sgd(spec)) {}

    std::vector<std::string> slots() const override { return sgd_->slots(); }

    void apply(const Rates& rates, std::span<const Update> updates) const override {
        const UpdateLists lists(updates);
        if (rates.weight_decay != 0) at::_foreach_add_(lists.gradients, lists.parameters, rates.weight_decay);
        if (rates.adapts) at::_foreach_mul_(lists.gradients, ratios(lists));
        std::vector<Update> adapted(updates.begin(), updates.end());
        for (std::size_t i = 0; i < adapted.size(); ++i) {
            adapted[i].gradient = lists.gradients[i];
            adapted[i].gradient_scale = 1;
        }
        sgd_->apply({.lr = rates.lr}, adapted);
    }

  private:
    /// A scalar for each parameter; 1 where its norm or that of its gradient is 0.
    std::vector<at::Tensor> ratios(const UpdateLists& lists) const {
        const auto weights = at::stack(at::_foreach_norm(lists.parameters, 2));
        const auto gradients = at::stack(at::_foreach_norm(lists.gradients, 2));
        const auto both = at::logical_and(weights > 0, gradients > 0);
        return at::where(both, trust_ * weights / gradients, 1).unbind();
    }

    double trust_;
    std::unique_ptr<const UpdateRule> sgd_;
};

}  // namespace

std::unique_ptr<const UpdateRule> lars(const recipe::OptimizerSpec& spec) {
    return std::make_unique<Lars>(spec);
}

}  // namespace hearth::train::rules
