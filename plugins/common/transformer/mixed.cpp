#include "common/transformer/mixed.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include <hearth/error.hpp>

#include "common/transformer/mixed_kernels.hpp"

namespace hearth::transformer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr std::int64_t row_grain = 32, element_grain = 32768;  // what a thread takes at least

class NormFunction : public torch::autograd::Function<NormFunction> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& given, const Tensor& gain, const Tensor& bias,
                          double eps) {
        const at::AutoDispatchBelowADInplaceOrView below;
        RECORD_FUNCTION("hearth::norm", std::vector<c10::IValue>());
        const auto x = given.contiguous();
        const auto width = x.size(-1), rows = width == 0 ? 0 : x.numel() / width;
        const auto out = at::empty(x.sizes(), x.options().dtype(at::kBFloat16));
        const auto mean = at::empty({rows}, x.options()), rstd = at::empty({rows}, x.options());
        at::parallel_for(0, rows, row_grain, [&](std::int64_t begin, std::int64_t end) {
            norm_rows(x.const_data_ptr<float>() + begin * width, gain.const_data_ptr<float>(),
                      bias.const_data_ptr<float>(), static_cast<float>(eps), end - begin, width,
                      out.mutable_data_ptr<at::BFloat16>() + begin * width,
                      mean.mutable_data_ptr<float>() + begin, rstd.mutable_data_ptr<float>() + begin);
        });
        ctx->save_for_backward({x, gain, mean, rstd});
        return out;
    }

    static tensor_list backward(AutogradContext* ctx, const tensor_list& grads) {
        if (at::GradMode::is_enabled())
            throw Error(ExitCode::internal,
                        "layer norm in bf16 on the CPU has no second derivative (found create_graph); set "
                        "train.precision = \"fp32\"");
        RECORD_FUNCTION("hearth::norm_backward", std::vector<c10::IValue>());
        const auto saved = ctx->get_saved_variables();
        const auto &x = saved[0], &gain = saved[1], &mean = saved[2], &rstd = saved[3];
        const auto grad = grads[0].contiguous();
        const auto width = x.size(-1), rows = mean.size(0);
        const auto out = at::empty_like(x);
        const auto sums = at::zeros({2, at::get_num_threads(), width}, x.options());  // of each thread
        at::parallel_for(0, rows, row_grain, [&](std::int64_t begin, std::int64_t end) {
            const auto thread = at::get_thread_num();
            norm_rows_backward(
                grad.const_data_ptr<at::BFloat16>() + begin * width, x.const_data_ptr<float>() + begin * width,
                mean.const_data_ptr<float>() + begin, rstd.const_data_ptr<float>() + begin,
                gain.const_data_ptr<float>(), end - begin, width, out.mutable_data_ptr<float>() + begin * width,
                sums[0][thread].mutable_data_ptr<float>(), sums[1][thread].mutable_data_ptr<float>());
        });
        return {out, sums[0].sum(0), sums[1].sum(0), Tensor()};
    }
};

class AddFunction : public torch::autograd::Function<AddFunction> {
  public:
    static Tensor forward(AutogradContext*, const Tensor& x, const Tensor& y) {
        const at::AutoDispatchBelowADInplaceOrView below;
        RECORD_FUNCTION("hearth::add", std::vector<c10::IValue>());
        const auto out = at::empty(x.sizes(), x.options());
        at::parallel_for(0, x.numel(), element_grain, [&](std::int64_t begin, std::int64_t end) {
            add_bf16(x.const_data_ptr<float>() + begin, y.const_data_ptr<at::BFloat16>() + begin,
                     out.mutable_data_ptr<float>() + begin, end - begin);
        });
        return out;
    }
    static tensor_list backward(AutogradContext*, const tensor_list& grads) {
        return {grads[0], grads[0].to(at::kBFloat16)};
    }
};

bool plain(const Tensor& x) {
    return x.is_cpu() && x.scalar_type() == at::kFloat;
}

}  // namespace

Tensor norm_for_branch(const Tensor& x, const torch::nn::LayerNorm& norm) {
    const bool mixed = at::autocast::is_autocast_enabled(at::kCPU) &&
                       at::autocast::get_autocast_dtype(at::kCPU) == at::kBFloat16;
    const auto& options = norm->options;
    if (!mixed || !plain(x) || !plain(norm->weight) || !plain(norm->bias))
        return at::layer_norm(x, options.normalized_shape(), norm->weight, norm->bias, options.eps());
    return NormFunction::apply(x, norm->weight, norm->bias, options.eps());
}

Tensor add_branch_to(const Tensor& x, const Tensor& y) {
    if (!plain(x) || !y.is_cpu() || y.scalar_type() != at::kBFloat16 || x.sizes() != y.sizes()) return x + y;
    return AddFunction::apply(x.contiguous(), y.contiguous());
}

}  // namespace hearth::transformer
