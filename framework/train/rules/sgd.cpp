// Gradient descent with momentum (Sutskever et al. 2013), https://proceedings.mlr.press/v28/sutskever13.html, as
// torch.optim.SGD without dampening: weight decay is added to the gradient, and lr multiplies what the momentum
// has gathered.
#include <ATen/ATen.h>

#include "train/rules/rules.hpp"

namespace hearth::train::rules {
namespace {

class Sgd : public UpdateRule {
  public:
    explicit Sgd(const recipe::OptimizerSpec& spec) : momentum_(spec.momentum), nesterov_(spec.nesterov) {}

    std::vector<std::string> slots() const override {
        return momentum_ == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"};
    }

    void apply(const Rates& rates, std::span<const Update> updates) const override {
        const UpdateLists lists(updates);
        // A first step is one like all others: from momentum 0 it is the gradient.
        at::_fused_sgd_(lists.parameters, lists.gradients,
                        momentum_ == 0 ? std::vector<at::Tensor>{} : lists.slots[0], rates.weight_decay,
                        momentum_, rates.lr, /*dampening=*/0, nesterov_, /*maximize=*/false,
                        /*is_first_step=*/false);
        update_averages_(lists.moving_averages);
    }

  private:
    double momentum_;
    bool nesterov_;
};

}  // namespace

std::unique_ptr<const UpdateRule> sgd(const recipe::OptimizerSpec& spec) {
    return std::make_unique<Sgd>(spec);
}

}  // namespace hearth::train::rules
