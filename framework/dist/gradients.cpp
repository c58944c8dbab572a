#include "dist/gradients.hpp"

#include <ATen/ATen.h>
#include <ATen/ScalarOps.h>
#include <fmt/format.h>

#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <algorithm>
#include <hearth/error.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

namespace hearth::dist {
namespace {

using at::Tensor;
using torch::autograd::variable_list;

constexpr std::size_t first_bytes = 1 << 20, bucket_bytes = 25 << 20;
constexpr std::int64_t alignment = 64;  // bytes: vector instructions and GPUs read aligned tensors faster

/// Of `flat`, from `offset` on, with the shape and the order in memory of `like`.
Tensor view_of(const Tensor& flat, std::int64_t offset, const Tensor& like) {
    return like.is_non_overlapping_and_dense() ? flat.as_strided(like.sizes(), like.strides(), offset)
                                               : flat.narrow(0, offset, like.numel()).view(like.sizes());
}

}  // namespace

GradientAverage::GradientAverage(const std::vector<std::pair<std::string, Tensor>>& parameters,
                                 const ProcessGroup& group)
    : group_(group) {
    std::vector<Tensor> tensors;
    for (const auto& [name, tensor] : parameters) {
        tensors.push_back(tensor);
        auto& parameter = parameters_.emplace_back();
        parameter.name = name;
        parameter.tensor = tensor;
    }
    try {
        c10d::verify_params_across_processes(group.group(), tensors, std::nullopt);
    } catch (const std::exception& error) {
        group.lost("comparing parameters", error.what());
    }
    for (auto& parameter : parameters_) {
        parameter.accumulator = torch::autograd::impl::grad_accumulator(parameter.tensor);
        parameter.hook =
            parameter.accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
                [this, &parameter](const variable_list& outputs, const variable_list&) {
                    if (averages_) {
                        fill(parameter);
                        send_what_is_complete();
                    }
                    return outputs;
                }));
    }
    arrange(std::vector<bool>(parameters_.size(), false));
}

GradientAverage::~GradientAverage() {
    for (auto& parameter : parameters_) parameter.accumulator->del_post_hook(parameter.hook);
}

void GradientAverage::arrange(const std::vector<bool>& late) {
    const at::NoGradGuard no_grad;
    buckets_.clear();
    for (const bool now : {false, true}) {
        std::vector<Tensor> tensors;
        std::vector<std::size_t> numbers;
        for (std::size_t i = 0; i < parameters_.size(); ++i)
            if (late[i] == now) {
                tensors.push_back(parameters_[i].tensor);
                numbers.push_back(i);
            }
        if (tensors.empty()) continue;
        auto groups = std::get<0>(c10d::compute_bucket_assignment_by_size(
            tensors, {first_bytes, bucket_bytes}, std::vector<bool>(tensors.size(), false)));
        // The backward pass meets the last parameters first.
        std::reverse(groups.begin(), groups.end());
        for (const auto& group : groups) {
            auto& made = buckets_.emplace_back();
            for (const auto i : group) made.members.push_back(numbers[i]);
        }
    }
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
        auto& [members, flat, counts, missing, work] = buckets_[b];
        const auto& first = parameters_[members.front()].tensor;
        const auto step = alignment / static_cast<std::int64_t>(first.element_size());
        std::vector<std::int64_t> offsets;
        std::int64_t size = 0;
        for (const auto i : members) {
            offsets.push_back(size);
            size += (parameters_[i].tensor.numel() + step - 1) / step * step;
        }
        const auto count = static_cast<std::int64_t>(members.size());
        flat = at::zeros({size + count}, first.options().requires_grad(false));
        counts = flat.narrow(0, size, count);
        for (std::size_t place = 0; place < members.size(); ++place) {
            auto& parameter = parameters_[members[place]];
            parameter.bucket = b;
            parameter.place = place;
            parameter.view = view_of(flat, offsets[place], parameter.tensor);
        }
    }
}

void GradientAverage::prepare() {
    const at::NoGradGuard no_grad;
    for (auto& parameter : parameters_) parameter.filled = parameter.used = false;
    for (auto& bucket : buckets_) {
        bucket.missing = bucket.members.size();
        bucket.work.reset();
        bucket.counts.fill_(1);
    }
    sent_ = 0;
    averages_ = true;
}

void GradientAverage::fill(Parameter& parameter) {
    if (parameter.filled)
        throw Error(
            ExitCode::internal,
            fmt::format("found a second gradient of '{}' in one backward pass, expected one: with several "
                        "processes no part of the graph may run its own backward pass within it",
                        parameter.name));
    const at::NoGradGuard no_grad;
    auto& gradient = parameter.tensor.mutable_grad();
    auto& bucket = buckets_[parameter.bucket];
    parameter.used = gradient.defined();
    if (!parameter.used) {
        parameter.view.zero_();
        bucket.counts[static_cast<std::int64_t>(parameter.place)].zero_();
    } else {
        // One pass that divides and copies; the gradient's own memory is free from here on.
        at::mul_out(parameter.view, gradient.detach(),
                    at::native::wrapped_scalar_tensor(1.0 / group_.world_size()));
        gradient = parameter.view;
    }
    parameter.filled = true;
    --bucket.missing;
}

void GradientAverage::send_what_is_complete() {
    for (; sent_ < buckets_.size() && buckets_[sent_].missing == 0; ++sent_) {
        std::vector<Tensor> tensors = {buckets_[sent_].flat};
        buckets_[sent_].work = group_.group()->allreduce(tensors);
    }
}

void GradientAverage::finish() {
    const at::NoGradGuard no_grad;
    averages_ = false;
    for (auto& parameter : parameters_)
        if (!parameter.filled) fill(parameter);
    send_what_is_complete();
    for (auto& bucket : buckets_) {
        bucket.work->wait();
        bucket.work.reset();
    }
    // Asked of the device only where it matters, and once: a bucket with a parameter that some process has no
    // gradient for is complete at the end of the backward pass alone, so those move into buckets of their own.
    std::vector<bool> late(parameters_.size(), false);
    for (const auto& bucket : buckets_) {
        const bool asks = !arranged_ || std::ranges::any_of(bucket.members,
                                                            [&](const auto i) { return !parameters_[i].used; });
        if (!asks) continue;
        const auto users = bucket.counts.to(at::kCPU, at::kFloat);
        for (std::size_t place = 0; place < bucket.members.size(); ++place) {
            auto& parameter = parameters_[bucket.members[place]];
            const auto having = users[static_cast<std::int64_t>(place)].item<float>();
            if (!parameter.used && having > 0) parameter.tensor.mutable_grad() = parameter.view;
            late[bucket.members[place]] = having < static_cast<float>(group_.world_size());
        }
    }
    if (arranged_) return;
    arranged_ = true;
    if (std::ranges::find(late, true) != late.end()) arrange(late);
}

}  // namespace hearth::dist
