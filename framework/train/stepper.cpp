#include "train/stepper.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <hearth/mixed_precision.hpp>
#include <hearth/text.hpp>
#include <iterator>

#include "host/cuda.hpp"
#include "host/place.hpp"

namespace hearth::train {

c10::Device pick_device(const std::string& wanted) {
    const int devices = host::cuda_devices();
    const bool cuda = devices > 0;
    if (wanted == "auto") return cuda ? c10::Device(c10::kCUDA) : c10::Device(c10::kCPU);
    if (wanted.starts_with("cuda") && !cuda) {
        const auto problem = host::cuda_problem();
        throw RecipeError(fmt::format(
            "train.device is \"{}\", but no CUDA device is usable here{}; set train.device = \"auto\", or "
            "see `hearth doctor`",
            wanted, problem.empty() ? "" : ": " + problem));
    }
    const c10::Device device(wanted);
    if (device.is_cuda() && device.index() >= devices)
        throw RecipeError(fmt::format(
            "train.device is \"{}\", but there are {} CUDA devices here, numbered from 0", wanted, devices));
    host::use_device(
        device);  // allocations, events and synchronisation without a number are of the current one
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

namespace {

std::vector<Hooked> hooked(const std::vector<plan::Called>& components) {
    std::vector<Hooked> out;
    for (const auto& called : components) {
        const auto place = host::place_of(*called.component, called.name) + ": ";
        out.push_back({.called = called,
                       .before_step = place + "before_step",
                       .after_backward = place + "after_backward",
                       .after_step = place + "after_step",
                       .revocable = RevocableHook(*called.component)});
    }
    return out;
}

std::string backward_of(const recipe::Recipe& recipe, const plan::Phase& phase) {
    std::vector<std::string> names;
    for (const auto loss : phase.losses) names.push_back("loss." + recipe.losses[loss].name);
    return "the backward pass of " + join(names);
}

}  // namespace

Stepper::Stepper(const recipe::Recipe& recipe, plan::Plan& plan, c10::Device device,
                 const dist::ProcessGroup* group)
    : recipe_(recipe),
      plan_(plan),
      device_(device),
      group_(group),
      bf16_(use_bf16(recipe.train.precision, device)) {
    const auto images =
        recipe.train.batch * recipe.train.accumulate * (group != nullptr ? group->world_size() : 1);
    const bool several = plan.phases().size() > 1;
    std::int64_t updates = 0;
    for (std::size_t i = 0; i < plan.phases().size(); ++i) {
        const auto& phase = plan.phases()[i];
        if (several) plan_.ask_gradients(phase);
        const auto& spec = recipe.phases.empty() ? recipe.optimizer : recipe.phases[i].optimizer;
        if (several) check_patterns(spec, plan.trained_parameters());
        Updater updater{.phase = &phase,
                        .optimizer = std::make_unique<Optimizer>(spec, plan.trained_parameters(phase), images,
                                                                 several ? phase.name : ""),
                        .average = nullptr,
                        .hooked = hooked(plan.components(phase)),
                        .backward = backward_of(recipe, phase),
                        .kept_buffers = {},
                        .first_update = updates};
        if (!phase.name.empty()) updater.kept_buffers = plan.buffers_to_keep(phase);
        if (group != nullptr)
            updater.average = std::make_unique<dist::GradientAverage>(plan.trained_parameters(phase), *group);
        updates += phase.repeat;
        updaters_.push_back(std::move(updater));
    }
    for (const auto& network : plan.networks())
        if (!network.follows.empty()) followers_.emplace_back(network, *plan.network(network.follows));
}

void Stepper::call(const Updater& updater, const Context& now, std::string Hooked::*place, Hook hook) {
    for (const auto& hooked : updater.hooked) call(hooked, now, place, hook);
}

void Stepper::call(const Hooked& hooked, const Context& now, std::string Hooked::*place, Hook hook) {
    auto context = now;
    context.learns = hooked.called.learns;
    host::guarded(hooked.*place, [&] { (*hooked.called.component.*hook)(context); });
}

NamedTensors Stepper::state() const {
    NamedTensors out;
    for (const auto& updater : updaters_)
        std::ranges::move(updater.optimizer->state(), std::back_inserter(out));
    return out;
}

void Stepper::load(const NamedTensors& state) {
    for (auto& updater : updaters_) updater.optimizer->load(state);
}

std::vector<std::string> Stepper::without_gradient() const {
    std::vector<std::string> out;
    for (const auto& updater : updaters_)
        std::ranges::move(updater.optimizer->without_gradient(), std::back_inserter(out));
    return out;
}

void Stepper::follow_before(const plan::Phase& phase, const Progress& progress) {
    for (auto& follower : followers_)
        if (!follower.after_step() && phase.updates(follower.leader())) follower.update(progress);
}

std::vector<Follower*> Stepper::followers_after(const Updater& updater) {
    std::vector<Follower*> out;
    for (auto& follower : followers_)
        if (follower.after_step() && updater.phase->updates(follower.leader())) out.push_back(&follower);
    return out;
}

std::vector<MovingAverage> Stepper::averages_of(const std::vector<Follower*>& followers,
                                                const Progress& progress) {
    std::vector<MovingAverage> out;
    for (const auto* follower : followers)
        std::ranges::copy(follower->averages(progress), std::back_inserter(out));
    return out;
}

double Stepper::update(Updater& updater, const Progress& progress, bool finite) {
    auto& optimizer = *updater.optimizer;
    const bool on_device = optimizer.updates_on_device();
    double norm = std::nan("");
    if (on_device && !finite) return norm;
    clock_.enter(Part::clip);
    if (!on_device) {
        norm = optimizer.clip();
        if (!finite || !std::isfinite(norm)) return norm;
    }
    const auto followers = followers_after(updater);
    const auto averages = averages_of(followers, progress);
    clock_.enter(Part::optimizer);
    if (on_device)
        norm = optimizer.update_on_device(progress, averages, {})[0].item<double>();
    else
        optimizer.step(progress, averages);
    if (!std::isfinite(norm)) return norm;
    clock_.enter(Part::follower);
    for (auto* follower : followers) follower->copy_buffers();
    return norm;
}

LateStep Stepper::update_late(Updater& updater, const Context& now, const Micro& micro) {
    const auto followers = followers_after(updater);
    clock_.enter(Part::optimizer);
    const auto told = updater.optimizer->update_on_device(now.progress, averages_of(followers, now.progress),
                                                          micro.out.total);
    LateStep late(micro.out, micro.images, now.progress, told);
    clock_.enter(Part::follower);
    for (auto* follower : followers) follower->copy_buffers_where(told[1]);
    clock_.enter(Part::other);
    for (auto& hooked : updater.hooked)
        hooked.revocable.call([&] { call(hooked, now, &Hooked::after_step, &Component::after_step); }, told[1]);
    return late;
}

bool Stepper::can_read_late() const {
    if (group_ != nullptr || updaters_.size() != 1 || recipe_.train.accumulate != 1) return false;
    const auto& updater = updaters_.front();
    const auto& phase = *updater.phase;
    return !phase.losses.empty() && phase.repeat == 1 && phase.every == 1 && updater.kept_buffers.empty() &&
           updater.optimizer->updates_on_device();
}

/// The batches of a step, each drawn when a phase first asks for it, with what phases keep for later ones.
class Stepper::Batches {
  public:
    Batches(const Source& next, StepClock& clock) : next_(next), clock_(clock) {}

    bool has(std::size_t number) const { return number < batches_.size(); }
    /// Null where the source ran dry.
    Tensors* get(std::size_t number) {
        while (batches_.size() <= number) {
            Tensors batch;
            clock_.enter(Part::data);
            const bool more = next_(batch);
            clock_.enter(Part::other);
            if (!more) return nullptr;
            batches_.push_back(std::move(batch));
        }
        return &batches_[number];
    }
    /// Frees a batch that no later phase needs.
    void drop(std::size_t number) { batches_[number] = {}; }

  private:
    const Source& next_;
    StepClock& clock_;
    std::deque<Tensors> batches_;
};

std::int64_t Stepper::number_of(const Updater& updater, std::int64_t step, std::int64_t repeat,
                                std::int64_t micro) const {
    const auto updates_per_step = updaters_.back().first_update + updaters_.back().phase->repeat;
    return (step * updates_per_step + updater.first_update + repeat) * recipe_.train.accumulate + micro;
}

Stepper::Micro Stepper::micro_step(Updater& updater, Context now, Tensors& batch, bool fresh, bool last,
                                   const Watch& watch) {
    // Dropout and its like are keyed by the micro-step too, so that a resumed run draws what an uninterrupted
    // one would have.
    at::manual_seed(now.seed * 1000003u + now.draw * static_cast<std::uint64_t>(now.comm->world_size()) +
                    static_cast<std::uint64_t>(now.comm->rank()));
    if (fresh) {
        Tensors moved;
        for (const auto& [name, tensor] : batch) moved.set(name, tensor.to(device_, /*non_blocking=*/true));
        batch = std::move(moved);
    }
    plan::StepOutput out;
    {
        const MixedPrecision mixed(device_.type(), bf16_);
        out = plan_.step(*updater.phase, batch, now, [&](const plan::Node* node) {
            clock_.enter(node == nullptr ? Part::other : node->kind == Kind::loss ? Part::loss : Part::forward);
            if (observer_) observer_(node);
        });
    }
    for (const auto& name : updater.phase->keeps)
        if (out.tensors.has(name)) batch.set(name, out.tensors[name].detach());
    clock_.enter(Part::backward);
    const auto loss =
        recipe_.train.accumulate > 1 ? out.total / static_cast<double>(recipe_.train.accumulate) : out.total;
    if (updater.average && last) updater.average->prepare();
    try {
        const host::Inside inside(updater.backward.c_str());
        loss.backward();
        if (updater.average && last) updater.average->finish();
    } catch (const c10::DistBackendError& error) {
        group_->lost("averaging gradients", error.what_without_backtrace());
    } catch (const std::exception& error) {
        if (updater.average && dynamic_cast<const std::runtime_error*>(&error) != nullptr &&
            dynamic_cast<const Error*>(&error) == nullptr)
            group_->lost("averaging gradients", error.what());
        host::rethrow_with(updater.backward);
    }
    if (meanwhile_) meanwhile_();
    const auto images = fresh ? batch["index"].size(0) : 0;
    if (late_) {
        clock_.enter(Part::other);
        return {.finite = true, .out = std::move(out), .images = images};
    }
    // Read after the backward pass, not before: a GPU has its work by now and does not wait for the question.
    const bool finite = std::isfinite(out.total.item<double>());
    if (group_ != nullptr) group_->check("averaging gradients");
    clock_.enter(Part::other);
    if (watch) watch(out, images, finite);
    return {.finite = finite};
}

bool Stepper::turn(Updater& updater, const Context& now, Batches& batches, const Watch& watch, Result& result) {
    const auto& phase = *updater.phase;
    if (updaters_.size() > 1) plan_.ask_gradients(phase);
    std::vector<at::Tensor> kept;
    for (const auto& buffer : updater.kept_buffers) kept.push_back(buffer.clone());
    std::int64_t later_repeats = 0;  // of the phases that come after this one, on the same batches
    for (const auto& other : updaters_)
        if (other.first_update > updater.first_update)
            later_repeats = std::max(later_repeats, other.phase->repeat);
    Updates updates{.phase = &phase};
    bool good = true;
    for (std::int64_t repeat = 0; repeat < phase.repeat && good; ++repeat) {
        auto context = now;
        context.draw = static_cast<std::uint64_t>(number_of(updater, now.progress.step, repeat, 0));
        clock_.enter(Part::follower);
        follow_before(phase, now.progress);
        clock_.enter(Part::other);
        call(updater, context, &Hooked::before_step, &Component::before_step);
        updater.optimizer->zero_grad();
        Micro made;
        bool finite = true;
        for (std::int64_t micro = 0; micro < recipe_.train.accumulate; ++micro) {
            const auto number = static_cast<std::size_t>(repeat * recipe_.train.accumulate + micro);
            const bool fresh = !batches.has(number);
            auto* batch = batches.get(number);
            if (batch == nullptr) {
                result.complete = result.updated = false;
                return false;
            }
            context.draw = static_cast<std::uint64_t>(number_of(updater, now.progress.step, repeat, micro));
            made = micro_step(updater, context, *batch, fresh, micro + 1 == recipe_.train.accumulate, watch);
            finite = made.finite && finite;
            if (repeat >= later_repeats) batches.drop(number);
        }
        call(updater, context, &Hooked::after_backward, &Component::after_backward);
        if (late_) {
            result.late.emplace(update_late(updater, context, made));
            return true;
        }
        const double norm = update(updater, now.progress, finite);
        good = finite && std::isfinite(norm);
        clock_.enter(Part::other);
        updates.gradient_norm += norm;
        ++updates.count;
        if (good) call(updater, context, &Hooked::after_step, &Component::after_step);
    }
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < kept.size(); ++i) updater.kept_buffers[i].copy_(kept[i]);
    result.updates.push_back(updates);
    result.updated = good;
    return good;
}

Stepper::Result Stepper::step(const Context& now, const Source& next, const Watch& watch) {
    Result result;
    Batches batches(next, clock_);
    for (auto& updater : updaters_) {
        const auto& phase = *updater.phase;
        if (phase.losses.empty() || now.progress.step % phase.every != 0) continue;  // a recipe may only fit
        if (!turn(updater, now, batches, watch, result)) break;
    }
    // A step takes as many batches whatever happens in it, so that its number says which they are.
    if (result.complete && batches.get(static_cast<std::size_t>(batches_per_step() - 1)) == nullptr)
        result.complete = result.updated = false;
    return result;
}

}  // namespace hearth::train
