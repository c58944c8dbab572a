// AdamW (Loshchilov & Hutter 2019, algorithm 2), https://arxiv.org/abs/1711.05101, is made here together with
// what else reads or writes all parameters in a step: scaling clipped gradients, and the moving average of a
// parameter. On the CPU these are bound by memory, and one pass over it serves them all
// (docs/decisions/0005-one-pass-update.md).
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "train/rules/rules.hpp"
#include "train/update_kernel.hpp"

namespace hearth::train::rules {
namespace {

constexpr std::int64_t grain = 16384;  // elements a thread takes at least

/// Whether the tensors lie in memory alike and without gaps, so that a plain loop over one walks all of them.
bool fits_one_pass(const Update& update) {
    const auto& model = update.parameter;
    const auto alike = [&](const at::Tensor& tensor) {
        return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.strides() == model.strides();
    };
    const std::array tensors = {model, update.gradient, update.slots[0], update.slots[1]};
    return model.is_non_overlapping_and_dense() && std::ranges::all_of(tensors, alike) &&
           (!update.moving_average.tensor.defined() || alike(update.moving_average.tensor));
}

class AdamW : public UpdateRule {
  public:
    explicit AdamW(const recipe::OptimizerSpec& spec)
        : beta1_(spec.beta1), beta2_(spec.beta2), eps_(spec.eps) {}

    std::vector<std::string> slots() const override { return {"average", "square"}; }

    /// float32 on the CPU takes one pass, all else ATen's fused kernel.
    void apply(const Rates& rates, std::span<const Update> updates) const override {
        RECORD_FUNCTION("hearth::adamw_", std::vector<c10::IValue>());
        std::vector<Update> rest;
        for (const auto& update : updates) {
            if (fits_one_pass(update))
                one_pass(rates, update);
            else
                rest.push_back(update);
        }
        if (!rest.empty()) several_passes(rates, rest);
    }

  private:
    AdamWFactors factors_of(const Rates& rates, const Update& update) const {
        const auto steps = update.steps.item<double>();
        return {.gradient_scale = static_cast<float>(update.gradient_scale),
                .keep = static_cast<float>(1 - rates.lr * rates.weight_decay),
                .beta1 = static_cast<float>(beta1_),
                .beta2 = static_cast<float>(beta2_),
                .step_size = static_cast<float>(rates.lr / (1 - std::pow(beta1_, steps))),
                .root_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2_, steps))),
                .eps = static_cast<float>(eps_),
                .moving_average_weight = static_cast<float>(update.moving_average.weight)};
    }

    void one_pass(const Rates& rates, const Update& update) const {
        const auto factors = factors_of(rates, update);
        const auto* gradient = update.gradient.const_data_ptr<float>();
        auto* parameter = update.parameter.mutable_data_ptr<float>();
        auto* average = update.slots[0].mutable_data_ptr<float>();
        auto* square = update.slots[1].mutable_data_ptr<float>();
        auto* moving_average = update.moving_average.tensor.defined()
                                   ? update.moving_average.tensor.mutable_data_ptr<float>()
                                   : nullptr;
        at::parallel_for(0, update.parameter.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
            adamw_one_pass(factors, gradient + begin, parameter + begin, average + begin, square + begin,
                           moving_average == nullptr ? nullptr : moving_average + begin, end - begin);
        });
    }

    /// Pass after pass on ATen's kernels, which take all tensors of a device at once.
    void several_passes(const Rates& rates, std::span<const Update> updates) const {
        const UpdateLists lists(updates);
        at::_fused_adamw_(lists.parameters, lists.gradients, lists.slots[0], lists.slots[1], {}, lists.steps,
                          rates.lr, beta1_, beta2_, rates.weight_decay, eps_, /*amsgrad=*/false,
                          /*maximize=*/false);
        update_averages_(lists.moving_averages);
    }

    double beta1_, beta2_, eps_;
};

}  // namespace

std::unique_ptr<const UpdateRule> adamw(const recipe::OptimizerSpec& spec) {
    return std::make_unique<AdamW>(spec);
}

}  // namespace hearth::train::rules
