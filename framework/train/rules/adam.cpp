// Adam (Kingma & Ba 2015, algorithm 1), https://arxiv.org/abs/1412.6980, with weight decay added to the gradient
// as in torch.optim.Adam.
#include <ATen/ATen.h>

#include "train/rules/rules.hpp"

namespace hearth::train::rules {
namespace {

class Adam : public UpdateRule {
  public:
    explicit Adam(const recipe::OptimizerSpec& spec) : beta1_(spec.beta1), beta2_(spec.beta2), eps_(spec.eps) {}

    std::vector<std::string> slots() const override { return {"average", "square"}; }

    void apply(const Rates& rates, std::span<const Update> updates) const override {
        const UpdateLists lists(updates);
        at::_fused_adam_(lists.parameters, lists.gradients, lists.slots[0], lists.slots[1], {}, lists.steps,
                         rates.lr, beta1_, beta2_, rates.weight_decay, eps_, /*amsgrad=*/false,
                         /*maximize=*/false);
        update_averages_(lists.moving_averages);
    }

  private:
    double beta1_, beta2_, eps_;
};

}  // namespace

std::unique_ptr<const UpdateRule> adam(const recipe::OptimizerSpec& spec) {
    return std::make_unique<Adam>(spec);
}

}  // namespace hearth::train::rules
