// The calls of components: what they are given, and what they return held to what they declared.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/mixed_precision.hpp>
#include <hearth/precision.hpp>
#include <hearth/text.hpp>
#include <type_traits>

#include "plan/plan.hpp"
#include "plan/untouched.hpp"

namespace hearth::plan {
namespace {

Tensors inputs(const Node& node, const Tensors& tensors) {
    Tensors in;
    for (const auto& wire : node.reads) {
        if (wire.name.empty() || (wire.only_for_fit && !tensors.has(wire.name))) continue;
        auto tensor = tensors[wire.name];
        if (wire.detached) tensor = tensor.detach();
        if (wire.group_of_one) tensor = tensor.unsqueeze(0);
        in.set(wire.port, node.group > 0 ? tensor.flatten(0, 1) : tensor);
    }
    return in;
}

/// "a.toml:7:1: student.gain".
std::string spot(const Node& node) {
    return node.where + ": " + node.id;
}

/// "; it reads tokens = student.tokens, keep = student.keep": whose sizes do not go together.
std::string sources_of(const Node& node) {
    std::vector<std::string> reads;
    for (const auto& wire : node.reads)
        if (!wire.name.empty()) reads.push_back(wire.port + " = " + wire.name);
    return "; it reads " + join(reads);
}

/// Throws PluginError where a call has changed an input, or `problem` says what is wrong with its outputs.
void hold(const Node& node, const char* call, const Untouched& in, const std::string& problem) {
    const auto* changed = in.changed();
    if (changed == nullptr && problem.empty()) return;
    auto text = changed != nullptr ? changed_text(*changed) : problem;
    if (text.starts_with("input") && changed == nullptr) text += sources_of(node);
    throw PluginError(fmt::format("{}: {}: {}", node.place, call, text));
}

/// Whose images `tensors` are about, for a call that reads nothing of them.
std::int64_t batch_of(const Tensors& tensors) {
    return tensors.has("index") && tensors["index"].dim() == 1 ? tensors["index"].size(0) : -1;
}

CallSetting setting_of(const Context& context, const Tensors& in, std::int64_t batch) {
    const auto device = in.size() > 0 ? in.begin()->second.device() : context.device;
    return {.device = device,
            .mixed = mixed_precision_type(device.type()),
            .batch = batch,
            .wanted = context.wanted};
}

Tensors outputs_of(const LossOutput& out) {
    Tensors all{{"total", out.total}};
    for (const auto& [name, value] : out.terms) all.set(name, value);
    if (out.per_sample.defined()) all.set("per_sample", out.per_sample);
    if (out.per_pixel.defined()) all.set("per_pixel", out.per_pixel);
    return all;
}

/// A view that has its own axis for the group in front.
at::Tensor by_view(const Node& node, const Wire& wire, const at::Tensor& made) {
    const bool grouped = node.group > 0 && wire.shape.size() > 1 && wire.shape[1] == Dim("B");
    return grouped ? made.unflatten(0, {node.group, -1}) : made;
}

}  // namespace

Watching::Watching(Plan& plan, CallWatch& watch) : plan_(plan) {
    plan_.watches_.push_back(&watch);
}

Watching::~Watching() {
    plan_.watches_.pop_back();
}

template <class Call>
auto Plan::watched(const Node& node, const Context* context, const Tensors& in, Call&& call) const {
    if (watches_.empty()) return call();
    std::vector<Tensors> kept;
    for (auto* watch : watches_) kept.push_back(watch->before(node, in));
    auto out = call();
    for (std::size_t i = 0; i < watches_.size(); ++i) {
        if constexpr (std::is_same_v<decltype(out), LossOutput>)
            watches_[i]->after(node, context, in, kept[i], outputs_of(out));
        else
            watches_[i]->after(node, context, in, kept[i], out);
    }
    return out;
}

// Watches see what a call returned before it is refused, so that a trace has the tensor that is wrong.
Tensors Plan::call(const Node& node, const Tensors& in, const Context& context, std::int64_t batch) const {
    const Untouched before(in);
    auto out = watched(node, &context, in, [&] {
        return host::guarded(spot(node), [&] {
            return node.kind == Kind::backbone
                       ? std::static_pointer_cast<Backbone>(node.component)->forward(in, context)
                       : std::static_pointer_cast<Head>(node.component)->forward(in, context);
        });
    });
    hold(node, "forward", before, node.boundary.problem(in, out, setting_of(context, in, batch)));
    return out;
}

LossOutput Plan::call_loss(const Node& node, const Tensors& in, const Context& context,
                           std::int64_t batch) const {
    const Untouched before(in);
    auto out = watched(node, &context, in, [&] {
        return host::guarded(
            spot(node), [&] { return std::static_pointer_cast<Loss>(node.component)->forward(in, context); });
    });
    hold(node, "forward", before, node.boundary.problem(in, out, setting_of(context, in, batch)));
    return out;
}

Tensors Plan::call_augment(const Node& node, const Tensors& in, Random& random, bool draws) const {
    const Untouched before(in);
    auto out = watched(node, nullptr, in, [&] {
        return host::guarded(spot(node), [&] {
            return draws ? node.on_device->draw(in, random)
                         : std::static_pointer_cast<Augment>(node.component)->sample(in, random);
        });
    });
    const auto& boundary = draws ? node.drawn_boundary : node.sample_boundary;
    hold(node, draws ? "draw" : "sample", before, boundary.problem(in, out, {.needed = &node.wanted}));
    return out;
}

void Plan::augment(Tensors& views, const RandomKey& key, bool draw_only) const {
    std::uint64_t stream = 1;  // stream 0 orders the samples
    for (const auto& node : nodes_) {
        if (node.kind != Kind::augment) continue;
        Tensors in;
        for (const auto& wire : node.reads)
            if (!wire.name.empty()) in.set(wire.port, views[wire.name]);
        auto own = key;
        own.stream = stream++;
        Random random(own);
        const bool draws = draw_only && node.on_device;
        const auto out = call_augment(node, in, random, draws);
        for (const auto& wire : draws ? node.drawn : node.writes)
            if (out.has(wire.port)) views.set(wire.name, out[wire.port]);
    }
}

void Plan::render_on_device(const Node& node, Tensors& tensors, const Context* context) const {
    const at::NoGradGuard no_grad;
    const FullPrecision exact;
    Tensors drawn;
    for (const auto& wire : node.drawn) drawn.set(wire.port, tensors[wire.name]);
    const auto in = inputs(node, tensors);
    const Untouched images(in), draws(drawn);
    const auto out = watched(node, context, in, [&] {
        return host::guarded(spot(node), [&] { return node.on_device->render(in, drawn); });
    });
    hold(node, "render", draws, "");
    hold(node, "render", images, node.boundary.problem(in, out, {.needed = &node.wanted}));
    for (const auto& wire : node.writes)
        if (out.has(wire.port)) tensors.set(wire.name, out[wire.port]);
}

void Plan::show_delivered(const Node& node, const Tensors& tensors, const Context& context) const {
    Tensors out;
    for (const auto& wire : node.writes)
        if (tensors.has(wire.name)) out.set(wire.port, tensors[wire.name]);
    for (auto* watch : watches_) watch->delivered(node, context, out);
}

void Plan::run(const Node& node, const Context& context, bool with_gradient, Tensors& tensors) const {
    const auto in = inputs(node, tensors);
    at::AutoGradMode gradients(with_gradient && at::GradMode::is_enabled());
    if (node.kind == Kind::loss) {  // for what it tells besides its total
        write_ports(node, call_loss(node, in, context, batch_of(tensors)), tensors);
        return;
    }
    const auto out = call(node, in, context, batch_of(tensors));
    for (const auto& wire : node.writes)
        if (out.has(wire.port)) tensors.set(wire.name, by_view(node, wire, out[wire.port]));
}

void Plan::write_ports(const Node& loss, const LossOutput& out, Tensors& tensors) {
    for (const auto& wire : loss.writes) {
        const auto& made = wire.port == "per_pixel" ? out.per_pixel : out.per_sample;
        if (made.defined()) tensors.set(wire.name, by_view(loss, wire, made.detach()));
    }
}

// Rows of one image follow each other: every samples_per_image_-th row has all images.
void Plan::run_once_per_image(const Node& node, const Context& context, bool with_gradient, Tensors& tensors,
                              Tensors& unique) const {
    for (const auto& wire : node.reads)
        if (!wire.name.empty() && !unique.has(wire.name))
            unique.set(wire.name, tensors[wire.name].slice(0, 0, std::nullopt, samples_per_image_));
    run(node, context, with_gradient, unique);
    for (const auto& wire : node.writes) {
        if (!unique.has(wire.name)) continue;
        const auto& made = unique[wire.name];
        const bool by_image = !wire.shape.empty() && wire.shape.front() == Dim("B");
        tensors.set(wire.name, by_image ? made.repeat_interleave(samples_per_image_, 0) : made);
    }
}

void Plan::add_loss(const Node& node, const Context& context, StepOutput& result) const {
    const auto out = call_loss(node, inputs(node, result.tensors), context, batch_of(result.tensors));
    write_ports(node, out, result.tensors);
    const double weight = context.value(weights_[node.loss_index]);
    auto weighted = weight == 1.0 ? out.total : out.total * weight;
    result.total = result.total.defined() ? result.total + weighted : weighted;
    for (const auto& [name, value] : out.terms)
        result.terms.emplace_back(losses_[node.loss_index].first + "." + name, value.detach());
}

Tensors Plan::features(const std::string& name, const at::Tensor& image, const Context& context) const {
    const auto* found = network(name);
    if (found == nullptr || !found->backbone)
        throw RecipeError(fmt::format("network '{}' has no backbone to take features from", name));
    const auto node = std::ranges::find(nodes_, found->backbone, &Node::component);
    return call(*node, Tensors{{"image", image}}, context, image.size(0));
}

}  // namespace hearth::plan
