#include "train/conduct.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <hearth/mixed_precision.hpp>
#include <latch>
#include <thread>

#include "plan/untouched.hpp"
#include "train/check.hpp"

namespace hearth::train {
namespace {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
    if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
    const auto left = a.detach().to(at::kCPU).contiguous(), right = b.detach().to(at::kCPU).contiguous();
    return std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) == 0;
}

/// The same up to what another order of summation may change; not-a-number is the same as itself.
bool same_up_to_rounding(const at::Tensor& a, const at::Tensor& b) {
    if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
    if (!a.is_floating_point()) return at::equal(a, b);
    const auto left = a.detach().to(at::kDouble), right = b.detach().to(at::kDouble);
    const auto scale = left.numel() > 0 ? left.nan_to_num(0, 0, 0).abs().max().item<double>() : 0.0;
    return at::allclose(left, right, /*rtol=*/0, /*atol=*/1e-5 * scale + 1e-12, /*equal_nan=*/true);
}

/// How an augment is used: sample() of each, or draw() where the views are made on the device.
enum class Half { whole, drawn };

Tensors views_of(const plan::Plan& plan, const Tensors& sources, const RandomKey& key, Half half) {
    auto views = plan::copied(sources);
    if (half == Half::whole)
        plan.augment(views, key);
    else
        plan.prepare(views, key);
    return views;
}

/// Throws where the second time is not like the first, naming who wrote the first view that differs.
void compare(const plan::Plan& plan, const Tensors& first, const Tensors& second, const char* when,
             const char* why) {
    for (const auto& node : plan.nodes())
        for (const auto* wires : {&node.writes, &node.drawn})
            for (const auto& wire : *wires)
                if (node.kind == Kind::augment && first.has(wire.name) != second.has(wire.name))
                    throw PluginError(
                        fmt::format("{}: output '{}': found it missing {}, expected it both times; {}",
                                    node.place, wire.port, when, why));
                else if (node.kind == Kind::augment && first.has(wire.name) &&
                         !same_bits(first[wire.name], second[wire.name]))
                    throw PluginError(
                        fmt::format("{}: output '{}': found another one {}, expected the same; {}", node.place,
                                    wire.port, when, why));
}

void expect_finite(const plan::Plan& plan, const Tensors& views) {
    for (const auto& node : plan.nodes())
        for (const auto& wire : node.writes)
            if (node.kind == Kind::augment && views.has(wire.name) && views[wire.name].is_floating_point() &&
                !at::isfinite(views[wire.name]).all().item<bool>())
                throw NumericError(
                    fmt::format("{}: output '{}': found a value that is not finite", node.place, wire.port));
}

/// The same views from two threads that start together, several times each.
std::vector<Tensors> from_two_threads(const plan::Plan& plan, const Tensors& sources, const RandomKey& key,
                                      Half half) {
    constexpr std::size_t threads = 2, rounds = 3;
    std::array<std::vector<Tensors>, threads> made;
    std::array<std::exception_ptr, threads> errors;
    std::latch start(threads);
    const auto work = [&](std::size_t i) {
        data::stay_one_thread();
        start.arrive_and_wait();
        try {
            for (std::size_t round = 0; round < rounds; ++round)
                made[i].push_back(views_of(plan, sources, key, half));
        } catch (...) {
            errors[i] = std::current_exception();
        }
    };
    { std::jthread one(work, 0), two(work, 1); }
    for (const auto& error : errors)
        if (error) std::rethrow_exception(error);
    made[0].insert(made[0].end(), made[1].begin(), made[1].end());
    return made[0];
}

/// Keeps what each call of a step returned.
class Recorded : public plan::CallWatch {
  public:
    struct Call {
        const plan::Node& node;
        Tensors out;
    };
    void after(const plan::Node& node, const Context* context, const Tensors&, const Tensors&,
               const Tensors& out) override {
        if (context != nullptr) calls.push_back({node, plan::copied(out)});
    }
    std::vector<Call> calls;
};

/// One step of every phase in evaluation mode.
std::vector<Recorded::Call> evaluated_calls(plan::Plan& plan, Tensors batch, Context context, bool bf16) {
    plan.train(false);
    context.training = context.learns = false;
    Recorded recorded;
    const plan::Watching watching(plan, recorded);
    for (const auto& phase : plan.phases()) {
        at::manual_seed(context.seed);
        const at::AutoGradMode gradients(!phase.asked.empty());
        const MixedPrecision mixed(context.device.type(), bf16);
        const auto out = plan.step(phase, batch, context);
        for (const auto& name : phase.keeps)
            if (out.tensors.has(name)) batch.set(name, out.tensors[name].detach());
        ++context.draw;
    }
    return std::move(recorded.calls);
}

base::SafeTensors saved(const plan::Plan& plan) {
    base::SafeTensors out;
    for (const auto& [name, tensor] : plan.state()) out.tensors.emplace_back(name, tensor.detach().clone());
    return out;
}

}  // namespace

Tensors InputsKept::before(const plan::Node&, const Tensors& in) {
    return plan::copied(in);
}

void InputsKept::after(const plan::Node& node, const Context*, const Tensors& in, const Tensors& kept,
                       const Tensors&) {
    for (const auto& [name, tensor] : in)
        if (!same_bits(tensor, kept[name]))
            throw PluginError(fmt::format("{}: {}", node.place, plan::changed_text(name)));
}

void expect_same_views(const plan::Plan& plan, const Tensors& sources, const RandomKey& key) {
    const bool on_device =
        std::ranges::any_of(plan.nodes(), [](const auto& node) { return node.on_device != nullptr; });
    for (const auto half : {Half::whole, Half::drawn}) {
        if (half == Half::drawn && !on_device) continue;
        const auto first = views_of(plan, sources, key, half);
        expect_finite(plan, first);
        compare(plan, first, views_of(plan, sources, key, half), "for the same image and key",
                "it draws from something else than its Random");
        for (const auto& views : from_two_threads(plan, sources, key, half))
            compare(plan, first, views, "while another thread was in it",
                    "it changes something that its threads share");
    }
}

void expect_state_comes_back(const recipe::Recipe& recipe, const host::Registry& registry, plan::Plan& plan,
                             std::int64_t images) {
    Context context;
    context.device = pick_device(recipe.train.device);
    context.seed = seed_of(recipe);
    context.progress.total_steps = std::max<std::int64_t>(1, recipe.train.epochs);
    const bool bf16 = use_bf16(recipe.train.precision, context.device);
    Tensors batch;
    const auto loader = generated_batches(recipe, plan, images);
    loader->begin(0);
    if (!loader->next(batch)) return;
    for (const auto& [name, tensor] : plan::copied(batch)) batch.set(name, tensor.to(context.device));

    auto other = recipe;  // of other weights, or what is not registered would have the same again
    ++other.train.seed;
    auto again = plan::Plan::initial(other, registry, context.device);
    again.load(saved(plan), "the state of this recipe");
    const auto expected = evaluated_calls(plan, batch, context, bf16);
    const auto found = evaluated_calls(again, batch, context, bf16);
    for (std::size_t i = 0; i < std::min(expected.size(), found.size()); ++i)
        for (const auto& [port, tensor] : expected[i].out)
            if (!found[i].out.has(port) || !same_up_to_rounding(tensor, found[i].out[port]))
                throw PluginError(
                    fmt::format("{}: output '{}': found another one after its state was saved and loaded, "
                                "expected the same; it keeps something that is not registered: "
                                "register_module(), register_parameter() or register_buffer() it",
                                expected[i].node.place, port));
}

}  // namespace hearth::train
