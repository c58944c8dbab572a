// What a plan must refuse besides missing names: views nobody reads, networks no loss reaches, losses that
// train nothing.
#include <fmt/format.h>

#include <algorithm>

#include "plan/builder.hpp"

namespace hearth::plan {

void Builder::check_reach() {
    // Backwards from the losses and monitored tensors: which nodes are needed.
    std::vector<bool> needed(drafts_.size(), false);
    std::vector<bool> reaches_loss(drafts_.size(), false);
    const auto detached = [](const Draft& draft) { return !draft.node.network.empty() && !draft.node.trained; };
    const auto mark = [&](const std::string& name) {
        const auto found = writer_.find(name);
        if (found != writer_.end()) needed[found->second] = true;
        return found;
    };
    for (const auto* name : {&recipe_.monitor.features, &recipe_.monitor.assignments}) {
        if (name->empty()) continue;
        if (mark(*name) == writer_.end()) {
            const auto names = names_in_flow();
            problem(recipe_.monitor.origin,
                    fmt::format("monitor watches '{}', which nothing writes{}; there are: {}", *name,
                                did_you_mean(*name, names), join(names)));
        }
    }
    for (std::size_t i = drafts_.size(); i-- > 0;) {
        if (drafts_[i].node.kind == Kind::loss) needed[i] = reaches_loss[i] = true;
        if (!needed[i]) continue;
        for (const auto& wire : drafts_[i].node.reads) {
            const auto found = mark(wire.name);
            // A frozen network or a follower passes no gradient on.
            if (found != writer_.end() && reaches_loss[i] && !detached(drafts_[i]))
                reaches_loss[found->second] = true;
        }
    }

    // Forwards from the trained networks: which nodes carry gradient.
    std::vector<bool> carries(drafts_.size(), false);
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        auto& draft = drafts_[i];
        const bool from_input =
            std::any_of(draft.node.reads.begin(), draft.node.reads.end(), [&](const Wire& wire) {
                const auto found = writer_.find(wire.name);
                return found != writer_.end() && carries[found->second];
            });
        carries[i] = !detached(draft) && (draft.node.trained || from_input);
        if (draft.node.kind == Kind::loss && !carries[i])
            problem(
                draft.origin,
                fmt::format("{} reads nothing that a trained network writes, so it trains nothing; drop it, "
                            "or point one of its reads at a trained network",
                            draft.node.id));
    }

    for (const auto& network : recipe_.networks) {
        bool passed = false, reached = false;
        for (std::size_t i = 0; i < drafts_.size(); ++i) {
            if (drafts_[i].node.network != network.name) continue;
            passed = true;
            reached = reached || reaches_loss[i];
        }
        if (!passed)
            problem(network.origin,
                    fmt::format("network '{}' is in no [[pass]]; add one or drop the network", network.name));
        else if (!reached && network_is_trained(network.name))
            problem(network.origin,
                    fmt::format("no loss reaches network '{}': nothing would train it; add a loss that reads "
                                "its outputs, or set frozen = true",
                                network.name));
    }

    // A view read only by nodes that do not run counts as unread.
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
        auto& node = drafts_[i].node;
        node.runs = needed[i] || node.kind == Kind::augment;
        if (!node.runs && node.kind == Kind::head)
            warnings_.push_back(fmt::format("{} is not run: no loss reads what it writes", node.id));
        if (!node.runs && node.kind == Kind::backbone)
            warnings_.push_back(fmt::format("pass '{}' is not run: no loss reads what it writes", node.pass));
    }
    for (const auto& draft : drafts_) {
        if (draft.node.kind != Kind::augment) continue;
        for (const auto& wire : draft.node.writes) {
            const bool read = std::any_of(drafts_.begin(), drafts_.end(), [&](const Draft& other) {
                return other.node.runs && std::any_of(other.node.reads.begin(), other.node.reads.end(),
                                                      [&](const Wire& r) { return r.name == wire.name; });
            });
            if (!read && !wire.optional)
                problem(draft.origin,
                        fmt::format("nobody reads the view '{}' that {} writes; add a [[pass]] with view = "
                                    "\"{}\", or drop the augment",
                                    wire.name, draft.node.id, wire.name));
        }
    }
}

Shape Builder::without_group(Draft& draft, const Wire& wire, const Shape& produced) {
    const bool grouped =
        produced.size() == wire.shape.size() + 1 && produced[1] == Dim("B") && produced[0].known();
    const auto group = grouped ? produced[0].value() : 0;
    const auto first = std::find_if(draft.node.reads.begin(), draft.node.reads.end(),
                                    [](const Wire& other) { return !other.name.empty(); });
    if (&*first == &wire)
        draft.node.group = group;
    else if (draft.node.group != group)
        problem(
            draft.origin,
            fmt::format("{} reads '{}' as '{}' and '{}' as '{}': expected all of them in one group of views, "
                        "or none; give the pass another view, or point its reads elsewhere",
                        draft.node.id, first->name, to_string(shapes_.at(first->name)), wire.name,
                        to_string(produced)));
    return grouped ? Shape(produced.begin() + 1, produced.end()) : produced;
}

void Builder::unify_and_create() {
    for (auto& draft : drafts_) {
        if (!draft.node.runs && draft.node.kind != Kind::head && draft.node.kind != Kind::backbone) continue;
        Symbols symbols;
        bool fits = true;
        for (auto& wire : draft.node.reads) {
            if (wire.name.empty()) continue;
            const auto known = shapes_.find(wire.name);
            if (known == shapes_.end()) {  // its writer failed; reported there
                fits = false;
                continue;
            }
            const auto produced =
                draft.pass != nullptr ? without_group(draft, wire, known->second) : known->second;
            const auto clash = unify(wire.shape, produced, symbols);
            if (!clash.empty()) {
                const auto writer = writer_.find(wire.name);
                problem(draft.origin,
                        fmt::format("{} reads {} as '{}', which {} writes as '{}': {}", draft.node.id,
                                    wire.name, to_string(wire.shape),
                                    writer == writer_.end() ? "the data" : drafts_[writer->second].node.id,
                                    to_string(known->second), clash));
                fits = false;
            }
            wire.shape = known->second;
        }
        if (!fits) continue;
        try {
            const auto ports = draft.type->writes(draft.options, symbols);
            auto& instance = instances_[draft.instance];
            if (!instance) instance = draft.type->create(draft.options, symbols);
            // Shapes of a component that refuses its options stay unknown, so that only the cause is reported.
            for (std::size_t i = 0; i < draft.node.writes.size() && i < ports.size(); ++i) {
                auto shape = symbols.resolve(ports[i].shape);
                if (draft.node.group > 0) shape.insert(shape.begin(), Dim(draft.node.group));
                draft.node.writes[i].shape = std::move(shape);
                shapes_[draft.node.writes[i].name] = draft.node.writes[i].shape;
            }
            draft.node.component = instance;
        } catch (const RecipeError& error) {
            problem(draft.origin, error.what());
        } catch (const Error& error) {
            throw Error(error.code(), draft.node.where + ": " + draft.node.id + ": " + error.what());
        }
    }
}

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
    plan.masks_per_image_ = recipe_.data.masks_per_image;
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
    std::set<std::string> read = {plan.watched_features(recipe_.monitor), recipe_.monitor.assignments};
    for (const auto& node : plan.nodes_)
        if (node.runs)
            for (const auto& wire : node.reads) read.insert(wire.name);
    for (auto& node : plan.nodes_)
        for (const auto& wire : node.writes)
            if (read.count(wire.name) != 0) node.wanted.insert(wire.port);
}

}  // namespace hearth::plan
