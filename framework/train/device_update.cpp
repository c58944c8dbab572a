#include "train/device_update.hpp"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

namespace hearth::train {
namespace {

using at::Tensor;
using Operator = Tensor(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                        at::ArrayRef<double>, at::IntArrayRef, const Tensor&, const Tensor&,
                        const std::optional<Tensor>&, double, bool, double, double, double);

c10::OperatorHandle handle() {
    return c10::Dispatcher::singleton().findSchemaOrThrow("hearth_kernels::adamw_", "");
}

}  // namespace

bool has_device_update(c10::Device device) {
    return handle().hasKernelForDispatchKey(device.is_cuda() ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU);
}

Tensor device_update(const DeviceUpdateRule& rule, const std::vector<DeviceUpdate>& updates,
                     const Tensor& steps_before, const Tensor& steps_after, const std::optional<Tensor>& loss) {
    std::vector<Tensor> values, gradients, averages, squares, moving_averages;
    std::vector<double> rates;
    std::vector<std::int64_t> frozen;
    for (const auto& update : updates) {
        values.push_back(update.parameter);
        gradients.push_back(update.gradient);
        averages.push_back(update.average);
        squares.push_back(update.square);
        moving_averages.push_back(update.moving_average.tensor);
        rates.insert(rates.end(), {update.rates.lr, update.rates.weight_decay, update.moving_average.weight});
        frozen.push_back(update.frozen ? 1 : 0);
    }
    const at::AutoDispatchBelowADInplaceOrView below;
    static const auto operation = handle().typed<Operator>();
    return operation.call(values, gradients, averages, squares, moving_averages, rates, frozen, steps_before,
                          steps_after, loss, rule.clip, rule.clip_by_all, rule.beta1, rule.beta2, rule.eps);
}

}  // namespace hearth::train

// No formula: without a kernel the optimiser goes its own way, pass after pass. `rates` are three a parameter: lr, weight
// decay, and how far its moving average goes.
TORCH_LIBRARY_FRAGMENT(hearth_kernels, library) {
    library.def(
        "adamw_(Tensor(a!)[] values, Tensor[] gradients, Tensor(b!)[] averages, Tensor(c!)[] squares,"
        " Tensor(d!)[] moving_averages, float[] rates, int[] frozen, Tensor steps_before, Tensor(e!) "
        "steps_after,"
        " Tensor? loss, float clip, bool clip_by_all, float beta1, float beta2, float eps) -> Tensor");
}
