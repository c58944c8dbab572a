// Turns drafts into the plan: networks, losses and nodes, and what each node is to know of the others.
#include <fmt/format.h>

#include <algorithm>

#include "base/name_pattern.hpp"
#include "plan/builder.hpp"

namespace hearth::plan {

void Builder::collect_networks(Plan& plan) {
    for (const auto& spec : recipe_.networks) {
        Network network;
        network.name = spec.name;
        network.follows = spec.follows;
        network.momentum = spec.momentum;
        network.after_step = spec.update == "after_step";
        network.frozen = spec.frozen;
        network.eval_mode = spec.eval_mode;
        network.own_buffers = spec.own_buffers;
        network.updated = is_trained(spec.name);
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
    for (const auto& spec : recipe_.networks)
        for (const auto& pattern : spec.frozen_parts) {
            bool met = false;
            for (auto& [name, parameter] : plan.network(spec.name)->named_parameters()) {
                if (!base::matches(name, pattern)) continue;
                parameter.set_requires_grad(false);
                met = true;
            }
            if (!met)
                throw RecipeError(
                    fmt::format("{}: networks.{}.frozen names '{}', which matches no parameter of it; "
                                "`hearth check` lists their names",
                                spec.origin.text(), spec.name, pattern));
        }
}

void Builder::collect(Plan& plan) {
    collect_networks(plan);
    for (const auto& spec : recipe_.heads)
        plan.heads_.emplace_back(spec.name, instances_.at("head." + spec.name));
    for (const auto& spec : recipe_.losses) {
        plan.losses_.emplace_back(spec.name,
                                  std::static_pointer_cast<Loss>(instances_.at("loss." + spec.name)));
        plan.weights_.push_back(spec.weight);
    }
    mark_on_device();
    mark_reused();
    mark_delivered(plan);
    for (auto& draft : drafts_) plan.nodes_.push_back(std::move(draft.node));
    mark_wanted(plan);
    mark_once_per_image(plan);
    mark_parameters(plan);
    stop_if_any("the recipe's phases do not make sense");
    plan.phases_ = std::move(phases_);
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
            const auto drawn =
                host::guarded(node.where + ": " + node.id + ": drawn", [&] { return split->drawn(); });
            node.drawn_boundary = Boundary::of_names(drawn);
            for (const auto& name : drawn)
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
            if (!from_loader || wire.name.empty() || wire.only_for_fit) continue;
            plan.delivered_.insert(wire.name);
            const auto& shape = shapes_.at(wire.name);
            const auto axis = std::find(shape.begin(), shape.end(), Dim("B")) - shape.begin();
            if (axis > 0 && axis < static_cast<std::ptrdiff_t>(shape.size()))
                plan.batch_axes_[wire.name] = axis;
        }
    }
}

// A node without gradient computes in a later phase of a step what an earlier one has computed on that batch,
// unless something that it depends on has been trained in between. So the later phase takes it, and does not run
// what nothing else needs.
void Builder::mark_reused() {
    for (std::size_t later = 1; later < phases_.size(); ++later) {
        auto& phase = phases_[later];
        std::vector<bool> read(drafts_.size(), false);  // by a node that runs in this phase
        for (std::size_t i = drafts_.size(); i-- > 0;) {
            auto& use = phase.uses[i];
            const auto& node = drafts_[i].node;
            const bool of_loader = node.kind == Kind::augment && !node.on_device;
            if (!use.runs || of_loader) continue;
            use.runs = read[i] || node.kind == Kind::loss || is_watched(node);
            if (!use.runs) continue;
            std::set<std::string> written;
            for (const auto& wire : node.writes) written.insert(wire.name);
            const auto above = upstream(written);
            for (std::size_t earlier = later; earlier-- > 0 && !use.carries && node.kind != Kind::loss;) {
                const auto& before = phases_[earlier];
                if (std::ranges::any_of(above, [&](std::size_t k) {
                        return trains(before, drafts_[k]) || follows_trained(before, drafts_[k]);
                    }))
                    break;
                if (!before.uses[i].runs || before.uses[i].reused || before.every != 1 ||
                    before.repeat < phase.repeat)
                    continue;
                use.reused = true;
                phases_[earlier].keeps.insert(written.begin(), written.end());
                break;
            }
            if (use.reused) continue;
            for (const auto& wire : node.reads)
                if (const auto found = writer_.find(wire.name); found != writer_.end() && !wire.only_for_fit)
                    read[found->second] = true;
        }
    }
}

bool Builder::is_watched(const Node& node) const {
    return std::ranges::any_of(node.writes, [&](const Wire& wire) {
        return wire.name == recipe_.monitor.features || wire.name == recipe_.monitor.assignments;
    });
}

bool Builder::follows_trained(const Phase& phase, const Draft& draft) const {
    return draft.node.follows && phase.updates(recipe_.network(draft.node.network)->follows);
}

void Builder::mark_once_per_image(Plan& plan) {
    plan.samples_per_image_ = recipe_.data.samples_per_image;
    for (auto& phase : phases_) {
        std::set<std::string> plain = {"image"};
        for (std::size_t i = 0; i < plan.nodes_.size(); ++i) {
            const auto& node = plan.nodes_[i];
            auto& use = phase.uses[i];
            const bool passes =
                node.kind == Kind::backbone || (node.kind == Kind::head && !node.network.empty());
            if (!passes || use.carries || node.group > 0) continue;
            use.once_per_image = std::ranges::all_of(
                node.reads, [&](const Wire& wire) { return wire.name.empty() || plain.count(wire.name) != 0; });
            if (!use.once_per_image) continue;
            for (const auto& wire : node.writes) plain.insert(wire.name);
        }
    }
}

void Builder::mark_wanted(Plan& plan) {
    const std::set<std::string> watched = {plan.watched_features(recipe_.monitor).name,
                                           recipe_.monitor.assignments};
    for (auto& phase : phases_) {
        std::set<std::string> read = watched;
        for (std::size_t i = 0; i < plan.nodes_.size(); ++i)
            if (phase.uses[i].runs && !phase.uses[i].reused)
                for (const auto& wire : plan.nodes_[i].reads)
                    if (!wire.only_for_fit) read.insert(wire.name);
        for (const auto& later : phases_)  // what it keeps for them
            for (std::size_t i = 0; i < plan.nodes_.size(); ++i)
                if (&later > &phase && later.uses[i].runs && !later.uses[i].reused)
                    for (const auto& wire : plan.nodes_[i].reads)
                        if (phase.keeps.count(wire.name) != 0) read.insert(wire.name);
        for (std::size_t i = 0; i < plan.nodes_.size(); ++i)
            for (const auto& wire : plan.nodes_[i].writes)
                if (read.count(wire.name) != 0) {
                    phase.uses[i].wanted.insert(wire.port);
                    plan.nodes_[i].wanted.insert(wire.port);
                }
    }
}

void Builder::mark_parameters(Plan& plan) {
    for (auto& phase : phases_) {
        std::set<const Component*> running;  // a head that no loss reads is not trained
        for (std::size_t i = 0; i < plan.nodes_.size(); ++i)
            if (phase.uses[i].runs) running.insert(plan.nodes_[i].component.get());
        const auto add = [&](const std::string& name, const Component& component) {
            if (running.count(&component) == 0) return;
            for (const auto& item : component.named_parameters())
                if (item.value().requires_grad()) phase.parameters.insert(name + "." + item.key());
        };
        for (const auto& network : plan.networks_)
            if (phase.updates(network.name))
                for (const auto& [part, component] : network.components())
                    add(network.name + "." + part, *component);
        for (const auto& [name, head] : plan.heads_)
            if (phase.updates(name)) add("head." + name, *head);
        for (const auto i : phase.losses) add("loss." + plan.losses_[i].first, *plan.losses_[i].second);
        const auto spec = std::ranges::find(recipe_.phases, phase.name, &recipe::PhaseSpec::name);
        if (spec != recipe_.phases.end() && phase.parameters.empty())
            problem(spec->origin,
                    fmt::format("phase '{}' trains {}, where no parameter is to be trained: those "
                                "that its losses read have none, or they are frozen; name a "
                                "network that has some in `trains`",
                                phase.name, join(phase.trains)));
        if (spec == recipe_.phases.end() && phase.parameters.empty() && !phase.losses.empty())
            report_nothing_to_train();
    }
}

void Builder::report_nothing_to_train() {
    bool frozen = false;
    for (const auto& network : recipe_.networks) {
        if (network.frozen_parts.empty()) continue;
        frozen = true;
        problem(
            network.origin,
            fmt::format("networks.{0}.frozen: {1} {2} every parameter of '{0}', and nothing is left to train; "
                        "leave out what is to be trained, or drop the losses",
                        network.name, join(network.frozen_parts),
                        network.frozen_parts.size() == 1 ? "names" : "together name"));
    }
    if (!frozen)
        problem(
            {recipe_.file.string(), 0, 0},
            "found no parameter that is to be trained, expected one at least: what the losses read has none");
}

}  // namespace hearth::plan
