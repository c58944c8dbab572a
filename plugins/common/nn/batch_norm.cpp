#include "common/nn/batch_norm.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <hearth/error.hpp>
#include <hearth/precision.hpp>
#include <numeric>
#include <vector>

namespace hearth::nn {
namespace {

using at::Tensor;

constexpr double momentum = 0.1, eps = 1e-5;

/// [C] as [1, C, 1, ..], beside x [B, C, ..].
Tensor by_channel(const Tensor& values, const Tensor& x) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
    shape[1] = values.size(0);
    return values.view(shape);
}

}  // namespace

BatchNorm::BatchNorm(std::int64_t channels, Affine affine, bool sync) : sync_(sync) {
    if (affine.gain) weight_ = register_parameter("weight", at::ones({channels}));
    if (affine.shift) bias_ = register_parameter("bias", at::zeros({channels}));
    running_mean_ = register_buffer("running_mean", at::zeros({channels}));
    running_var_ = register_buffer("running_var", at::ones({channels}));
    batches_ = register_buffer("num_batches_tracked", at::zeros({}, at::kLong));
}

Tensor BatchNorm::forward(const Tensor& x, const Comm& comm) {
    if (is_training()) {
        const auto values = x.numel() / x.size(1) * (sync_ ? comm.world_size() : 1);
        if (values < 2)
            throw RecipeError(
                fmt::format("batch normalisation found {} value a channel in training, expected at least two; "
                            "raise train.batch",
                            values));
        batches_.add_(1);
        if (sync_ && comm.world_size() > 1) return by_all(x, comm);
    }
    return at::batch_norm(x, weight_, bias_, running_mean_, running_var_, is_training(), momentum, eps,
                          /*cudnn_enabled=*/true);
}

// Means and variances of parts of one size make those of all of them without cancellation (Chan et al. 1979).
Tensor BatchNorm::by_all(const Tensor& x, const Comm& comm) {
    const FullPrecision full;
    const auto wide = at_least_float(x);
    std::vector<std::int64_t> axes(static_cast<std::size_t>(x.dim() - 1));
    std::iota(axes.begin(), axes.end(), 1);
    axes[0] = 0;
    const auto [own_var, own_mean] = at::var_mean(wide, axes, /*correction=*/0);
    const auto all = comm.all_gather(at::stack({own_mean, own_var}).unsqueeze(0), /*with_grad=*/true);
    const auto means = all.select(1, 0), vars = all.select(1, 1);  // [processes, C]
    const auto mean = means.mean(0);
    const auto var = vars.mean(0) + (means - mean).square().mean(0);
    move(mean, var, x.numel() / x.size(1) * comm.world_size());

    auto y = (wide - by_channel(mean, x)) * by_channel((var + eps).rsqrt(), x);
    if (weight_.defined()) y = y * by_channel(weight_, x);
    if (bias_.defined()) y = y + by_channel(bias_, x);
    return y.to(x.scalar_type());
}

void BatchNorm::move(const Tensor& mean, const Tensor& var, std::int64_t values) {
    const at::NoGradGuard no_grad;
    const auto n = static_cast<double>(values);
    running_mean_.lerp_(mean.to(running_mean_.scalar_type()), momentum);
    running_var_.lerp_((var * (n / (n - 1))).to(running_var_.scalar_type()), momentum);
}

}  // namespace hearth::nn
