// Turns drafts into the plan: networks, losses and nodes, and what each node is to know of the others.
#include <fmt/format.h>

#include <algorithm>

#include "plan/builder.hpp"

namespace hearth::plan {

void Builder::collect(Plan& plan) {
    for (const auto& spec : recipe_.networks) {
        Network network;
        network.name = spec.name;
        network.follows = spec.follows;
        network.momentum = spec.momentum;
        network.after_step = spec.update == "after_step";
        network.frozen = spec.frozen;
        for (const auto& [id, component] : instances_) {
            if (!id.starts_with(spec.name + ".")) continue;
            const auto rest = id.substr(spec.name.size() + 1);
            if (rest == "backbone")
                network.backbone = component;
            else if (rest.starts_with("heads."))
                network.heads.emplace_back(rest.substr(6), component);
        }
        plan.networks_.push_back(std::move(network));
    }
    // Followers start as copies of their leaders, and nothing but trained networks asks for gradients.
    for (auto& network : plan.networks_) {
        if (network.trained()) continue;
        at::NoGradGuard no_grad;
        for (const auto& [name, component] : network.components()) {
            for (auto& parameter : component->parameters()) parameter.set_requires_grad(false);
            if (network.follows.empty()) continue;
            const auto* leader = plan.network(network.follows);
            for (const auto& [leader_name, leader_component] : leader->components()) {
                if (leader_name != name) continue;
                auto source = leader_component->named_parameters();
                for (auto& item : component->named_parameters()) item.value().copy_(source[item.key()]);
                auto buffers = leader_component->named_buffers();
                for (auto& item : component->named_buffers()) item.value().copy_(buffers[item.key()]);
            }
        }
    }
    for (const auto& spec : recipe_.losses) {
        plan.losses_.emplace_back(spec.name,
                                  std::static_pointer_cast<Loss>(instances_.at("loss." + spec.name)));
        plan.weights_.push_back(spec.weight);
    }
    mark_on_device();
    mark_delivered(plan);
    for (auto& draft : drafts_) plan.nodes_.push_back(std::move(draft.node));
    mark_wanted(plan);
    mark_once_per_image(plan);
    plan.warnings_ = std::move(warnings_);
}

// What an augment draws from has to be in the loader, so a view that another augment reads is made there.
void Builder::mark_on_device() {
    if (recipe_.data.augment_on != "device") return;
    std::set<std::string> read_by_augments;
    for (const auto& draft : drafts_)
        if (draft.node.kind == Kind::augment)
            for (const auto& wire : draft.node.reads) read_by_augments.insert(wire.name);
    for (auto& draft : drafts_) {
        auto& node = draft.node;
        if (node.kind != Kind::augment) continue;
        const bool read = std::ranges::any_of(
            node.writes, [&](const Wire& wire) { return read_by_augments.count(wire.name) != 0; });
        const auto split = std::dynamic_pointer_cast<DeviceAugment>(node.component);
        if (split && !read) {
            node.on_device = split;
            for (const auto& name : split->drawn())
                node.drawn.push_back({.port = name, .name = node.id + "." + name, .shape = {}, .help = {}});
        } else {
            warnings_.push_back(fmt::format(
                "{} stays in the loader's workers: {}", node.id,
                read ? "another augment reads what it writes" : "it makes views of one sample at a time"));
        }
    }
}

void Builder::mark_delivered(Plan& plan) const {
    for (const auto& draft : drafts_) {
        const auto& node = draft.node;
        if (!node.runs || (node.kind == Kind::augment && !node.on_device)) continue;
        for (const auto& wire : node.drawn) plan.delivered_.insert(wire.name);
        for (const auto& wire : node.reads) {
            const auto found = writer_.find(wire.name);
            const auto* writer = found == writer_.end() ? nullptr : &drafts_[found->second].node;
            const bool from_loader = writer == nullptr || (writer->kind == Kind::augment && !writer->on_device);
            if (!from_loader || wire.name.empty()) continue;
            plan.delivered_.insert(wire.name);
            const auto& shape = shapes_.at(wire.name);
            const auto axis = std::find(shape.begin(), shape.end(), Dim("B")) - shape.begin();
            if (axis > 0 && axis < static_cast<std::ptrdiff_t>(shape.size()))
                plan.batch_axes_[wire.name] = axis;
        }
    }
}

void Builder::mark_once_per_image(Plan& plan) const {
    plan.samples_per_image_ = recipe_.data.samples_per_image;
    std::set<std::string> plain = {"image"};
    for (auto& node : plan.nodes_) {
        const bool passes = node.kind == Kind::backbone || node.kind == Kind::head;
        if (!passes || node.trained || node.group > 0) continue;
        node.once_per_image = std::ranges::all_of(
            node.reads, [&](const Wire& wire) { return wire.name.empty() || plain.count(wire.name) != 0; });
        if (!node.once_per_image) continue;
        for (const auto& wire : node.writes) plain.insert(wire.name);
    }
}

void Builder::mark_wanted(Plan& plan) const {
    std::set<std::string> read = {plan.watched_features(recipe_.monitor).name, recipe_.monitor.assignments};
    for (const auto& node : plan.nodes_)
        if (node.runs)
            for (const auto& wire : node.reads) read.insert(wire.name);
    for (auto& node : plan.nodes_)
        for (const auto& wire : node.writes)
            if (read.count(wire.name) != 0) node.wanted.insert(wire.port);
}

}  // namespace hearth::plan
