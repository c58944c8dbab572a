// RMSProp (Tieleman & Hinton 2012, lecture 6e; centred: Graves 2013, https://arxiv.org/abs/1308.0850) as
// torch.optim.RMSprop: weight decay is added to the gradient, eps to the root of the second moment.
#include <ATen/ATen.h>

#include "train/rules/rules.hpp"

namespace hearth::train::rules {
namespace {

class RmsProp : public UpdateRule {
  public:
    explicit RmsProp(const recipe::OptimizerSpec& spec)
        : alpha_(spec.alpha), eps_(spec.eps), momentum_(spec.momentum), centered_(spec.centered) {}

    std::vector<std::string> slots() const override {
        std::vector<std::string> names = {"square"};
        if (centered_) names.emplace_back("mean");
        if (momentum_ != 0) names.emplace_back("momentum");
        return names;
    }

    void apply(const Rates& rates, std::span<const Update> updates) const override {
        const UpdateLists lists(updates);
        const auto &gradients = lists.gradients, &squares = lists.slots[0];
        if (rates.weight_decay != 0) at::_foreach_add_(gradients, lists.parameters, rates.weight_decay);
        at::_foreach_mul_(squares, alpha_);
        at::_foreach_addcmul_(squares, gradients, gradients, 1 - alpha_);
        const auto roots = roots_of(lists);
        if (momentum_ != 0) {
            const auto& momenta = lists.slots.back();
            at::_foreach_mul_(momenta, momentum_);
            at::_foreach_addcdiv_(momenta, gradients, roots, 1);
            at::_foreach_add_(lists.parameters, momenta, -rates.lr);
        } else {
            at::_foreach_addcdiv_(lists.parameters, gradients, roots, -rates.lr);
        }
        update_averages_(lists.moving_averages);
    }

  private:
    /// What gradients are divided by; centred, the second moment is taken about the mean.
    std::vector<at::Tensor> roots_of(const UpdateLists& lists) const {
        auto roots = lists.slots[0];
        if (centered_) {
            const auto& means = lists.slots[1];
            at::_foreach_lerp_(means, lists.gradients, 1 - alpha_);
            roots = at::_foreach_addcmul(roots, means, means, -1);
            at::_foreach_clamp_min_(roots, 0);  // rounding may have gone below
            at::_foreach_sqrt_(roots);
        } else {
            roots = at::_foreach_sqrt(roots);
        }
        at::_foreach_add_(roots, eps_);
        return roots;
    }

    double alpha_, eps_, momentum_;
    bool centered_;
};

}  // namespace

std::unique_ptr<const UpdateRule> rmsprop(const recipe::OptimizerSpec& spec) {
    return std::make_unique<RmsProp>(spec);
}

}  // namespace hearth::train::rules
