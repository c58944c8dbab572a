#include "train/stepper.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/mixed_precision.hpp>
#include <iterator>

#include "host/cuda.hpp"

namespace hearth::train {

c10::Device pick_device(const std::string& wanted) {
    const int devices = host::cuda_devices();
    const bool cuda = devices > 0;
    if (wanted == "auto") return cuda ? c10::Device(c10::kCUDA) : c10::Device(c10::kCPU);
    if (wanted.starts_with("cuda") && !cuda)
        throw RecipeError(fmt::format(
            "train.device is \"{}\", but no CUDA device is usable here; set train.device = \"auto\", or "
            "see `hearth doctor`",
            wanted));
    const c10::Device device(wanted);
    if (device.is_cuda() && device.index() >= devices)
        throw RecipeError(fmt::format(
            "train.device is \"{}\", but there are {} CUDA devices here, numbered from 0", wanted, devices));
    return device;
}

bool use_bf16(const std::string& precision, c10::Device device) {
    if (precision != "auto") return precision == "bf16";
    if (device.is_cuda()) return true;
#if defined(__x86_64__)
    // oneDNN gains from AMX, and from avx512bf16 on AMD; on an Intel machine without AMX bf16 took 1.7 times as
    // long as fp32 (docs/benchmarks.md).
    return __builtin_cpu_supports("amx-bf16") != 0 ||
           (__builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_is("amd") != 0);
#else
    return false;
#endif
}

Stepper::Stepper(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device,
                 const dist::ProcessGroup* group)
    : recipe_(recipe),
      plan_(plan),
      device_(device),
      group_(group),
      bf16_(use_bf16(recipe.train.precision, device)),
      optimizer_(recipe.optimizer, plan.trained_parameters(),
                 recipe.train.batch * recipe.train.accumulate * (group != nullptr ? group->world_size() : 1)) {
    if (group != nullptr) average_ = std::make_unique<dist::GradientAverage>(plan.trained_parameters(), *group);
    for (const auto& network : plan.networks())
        if (!network.follows.empty()) followers_.emplace_back(network, *plan.network(network.follows));
}

template <class Hook>
void Stepper::call(const char* name, Hook hook) const {
    for (const auto& [id, component] : plan_.components())
        host::guarded(id + ": " + name, [&, &c = *component] { hook(c); });
}

void Stepper::follow_before(const Progress& progress) {
    for (auto& follower : followers_)
        if (!follower.after_step()) follower.update(progress);
}

void Stepper::update(const Progress& progress) {
    std::vector<MovingAverage> averages;
    for (const auto& follower : followers_)
        if (follower.after_step()) std::ranges::copy(follower.averages(progress), std::back_inserter(averages));
    clock_.enter(Part::optimizer);
    optimizer_.step(progress, averages);
    clock_.enter(Part::follower);
    for (auto& follower : followers_)
        if (follower.after_step()) follower.copy_buffers();
}

bool Stepper::micro_step(const Context& now, const Tensors& batch, std::int64_t micro, const Watch& watch) {
    // Dropout and its like are keyed by the step too, so that a resumed run draws what an uninterrupted one
    // would have.
    const auto number = now.progress.step * recipe_.train.accumulate + micro;
    at::manual_seed(static_cast<std::uint64_t>(recipe_.train.seed) * 1000003u +
                    static_cast<std::uint64_t>(number * now.comm->world_size() + now.comm->rank()));
    Tensors moved;
    for (const auto& [name, tensor] : batch) moved.set(name, tensor.to(device_, /*non_blocking=*/true));
    plan::StepOutput out;
    {
        const MixedPrecision mixed(device_.type(), bf16_);
        out = plan_.step(moved, now, [&](const plan::Node* node) {
            clock_.enter(node == nullptr ? Part::other : node->kind == Kind::loss ? Part::loss : Part::forward);
            if (observer_) observer_(node);
        });
    }
    clock_.enter(Part::backward);
    const auto loss =
        recipe_.train.accumulate > 1 ? out.total / static_cast<double>(recipe_.train.accumulate) : out.total;
    if (average_ && micro + 1 == recipe_.train.accumulate) average_->prepare(loss);
    try {
        loss.backward();
    } catch (const c10::DistBackendError& error) {
        group_->lost("averaging gradients", error.what_without_backtrace());
    } catch (const std::runtime_error& error) {
        if (!average_ || dynamic_cast<const Error*>(&error) != nullptr) throw;
        group_->lost("averaging gradients", error.what());
    }
    // Read after the backward pass, not before: a GPU has its work by now and does not wait for the question.
    const bool finite = std::isfinite(out.total.item<double>());
    clock_.enter(Part::other);
    if (watch) watch(out, moved["index"].size(0), finite);
    return finite;
}

Stepper::Result Stepper::step(const Context& now, const Source& next, const Watch& watch) {
    clock_.enter(Part::follower);
    follow_before(now.progress);
    clock_.enter(Part::other);
    call("before_step", [&](Component& c) { c.before_step(now); });
    optimizer_.zero_grad();
    bool finite = true;
    for (std::int64_t micro = 0; micro < recipe_.train.accumulate; ++micro) {
        Tensors batch;
        clock_.enter(Part::data);
        const bool more = next(batch);
        clock_.enter(Part::other);
        if (!more) return {.complete = false, .updated = false, .gradient_norm = 0};
        finite = micro_step(now, batch, micro, watch) && finite;
    }
    call("after_backward", [&](Component& c) { c.after_backward(now); });
    clock_.enter(Part::clip);
    const double norm = optimizer_.clip();
    const bool good = finite && std::isfinite(norm);
    if (good) update(now.progress);
    clock_.enter(Part::other);
    call("after_step", [&](Component& c) { c.after_step(now); });
    return {.complete = true, .updated = good, .gradient_norm = norm};
}

}  // namespace hearth::train
