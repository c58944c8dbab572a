#include "plan/plan.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <ranges>

#include "plan/builder.hpp"

namespace hearth::plan {

Plan Plan::build(const recipe::Recipe& recipe, const host::Registry& registry) {
    return Builder(recipe, registry).build();
}

Plan Plan::initial(const recipe::Recipe& recipe, const host::Registry& registry, c10::Device device) {
    at::manual_seed(static_cast<std::uint64_t>(recipe.train.seed));
    auto plan = build(recipe, registry);
    plan.to(device);
    plan.train(false);
    return plan;
}

std::vector<Edge> Plan::edges() const {
    std::map<std::string, const Node*> writer;
    for (const auto& node : nodes_)
        for (const auto& wire : node.writes) writer[wire.name] = &node;
    std::vector<Edge> out;
    for (const auto& node : nodes_)
        for (const auto& wire : node.reads) {
            if (wire.name.empty()) continue;
            const auto found = writer.find(wire.name);
            out.push_back({found == writer.end() ? nullptr : found->second, &node, &wire});
        }
    return out;
}

std::vector<std::pair<std::string, std::shared_ptr<Component>>> Network::components() const {
    std::vector<std::pair<std::string, std::shared_ptr<Component>>> out;
    if (backbone) out.emplace_back("backbone", backbone);
    for (const auto& [head, component] : heads) out.emplace_back("heads." + head, component);
    return out;
}

std::vector<std::pair<std::string, at::Tensor>> Network::named_parameters() const {
    std::vector<std::pair<std::string, at::Tensor>> out;
    for (const auto& [part, component] : components())
        for (const auto& item : component->named_parameters())
            out.emplace_back(name + "." + part + "." + item.key(), item.value());
    return out;
}

std::vector<std::pair<std::string, at::Tensor>> Network::named_buffers() const {
    std::vector<std::pair<std::string, at::Tensor>> out;
    for (const auto& [part, component] : components())
        for (const auto& item : component->named_buffers())
            out.emplace_back(name + "." + part + "." + item.key(), item.value());
    return out;
}

const Network* Plan::network(const std::string& name) const {
    for (const auto& network : networks_)
        if (network.name == name) return &network;
    return nullptr;
}

void Plan::augment(Tensors& views, const RandomKey& key) const {
    augment(views, key, /*draw_only=*/false);
}

void Plan::prepare(Tensors& views, const RandomKey& key) const {
    augment(views, key, /*draw_only=*/true);
}

Watched Plan::watched_features(const recipe::MonitorSpec& monitor) const {
    if (!monitor.features.empty()) return {monitor.features};
    const auto is_read = [&](const std::string& name) {
        return std::ranges::any_of(nodes_, [&](const Node& node) {
            return node.runs &&
                   std::ranges::any_of(node.reads, [&](const Wire& wire) { return wire.name == name; });
        });
    };
    for (const auto& node : nodes_) {
        if (node.kind != Kind::backbone || !node.trained || !node.runs) continue;
        const auto cls = node.pass + ".cls", tokens = node.pass + ".tokens";
        if (!is_read(cls) && is_read(tokens)) return {tokens, /*average=*/true};
        return {cls};
    }
    return {};
}

namespace {

/// Makes a tensor one that gradients are recorded of. One that the data deliver stays as it is for others.
void ask_gradient(Tensors& tensors, const std::string& name) {
    if (!tensors.has(name) || !at::GradMode::is_enabled()) return;
    const auto& tensor = tensors[name];
    if (!tensor.requires_grad()) tensors.set(name, tensor.detach().requires_grad_(true));
}

}  // namespace

Tensors Plan::render(Tensors batch) const {
    for (const auto& node : nodes_)
        if (node.on_device) render_on_device(node, batch, nullptr);
    return batch;
}

std::int64_t Plan::batches_per_step() const {
    return std::ranges::max(phases_, {}, &Phase::repeat).repeat;
}

StepOutput Plan::step(const Tensors& batch, const Context& context, const NodeObserver& observer) const {
    return step(phases_.front(), batch, context, observer);
}

StepOutput Plan::step(const Phase& phase, const Tensors& batch, const Context& whole,
                      const NodeObserver& observer) const {
    StepOutput result;
    result.phase = &phase;
    result.tensors = batch;
    auto& tensors = result.tensors;
    for (const auto& name : phase.asked) ask_gradient(tensors, name);
    Tensors unique;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const auto& node = nodes_[i];
        const auto& use = phase.uses[i];
        if (!watches_.empty() && node.kind == Kind::augment && !node.on_device)
            show_delivered(node, tensors, whole);
        if (!use.runs || use.reused || (node.kind == Kind::augment && !node.on_device)) continue;
        if (observer) observer(&node);
        if (node.on_device) {
            render_on_device(node, tensors, &whole);
            continue;
        }
        auto context = whole;
        context.wanted = &use.wanted;
        context.learns = whole.training && use.learns;
        context.stream = i;
        if (use.once_per_image && samples_per_image_ > 1) {
            run_once_per_image(node, context, use.carries, tensors, unique);
        } else if (node.kind != Kind::loss) {
            run(node, context, use.carries, tensors);
        } else {
            add_loss(node, context, result);
        }
        for (const auto& wire : node.writes)
            if (phase.asked.count(wire.name) != 0) ask_gradient(tensors, wire.name);
    }
    if (observer) observer(nullptr);
    return result;
}

// Backwards: the nodes that the names need, last first; `names` receives all that these nodes read.
std::vector<const Node*> Plan::writers(std::set<std::string>& names) const {
    std::vector<const Node*> found;
    for (const auto& node : std::views::reverse(nodes_)) {
        const bool needed =
            std::ranges::any_of(node.writes, [&](const Wire& wire) { return names.count(wire.name) != 0; });
        if (node.kind == Kind::augment || !needed) continue;
        found.push_back(&node);
        for (const auto& wire : node.reads)
            if (!wire.name.empty() && !wire.only_for_fit) names.insert(wire.name);
    }
    return found;
}

std::set<std::string> Plan::needs(const std::set<std::string>& names) const {
    std::vector<std::string> written;
    for (const auto& node : nodes_)
        if (node.kind != Kind::augment)
            for (const auto& wire : node.writes) written.push_back(wire.name);
    for (const auto& name : names)
        if (std::find(written.begin(), written.end(), name) == written.end())
            throw RecipeError(fmt::format("no pass, head or loss writes '{}'{}; there are: {}", name,
                                          did_you_mean(name, written), join(written)));
    auto all = names;
    writers(all);
    for (const auto& name : written) all.erase(name);
    return all;
}

bool Plan::needs_gradient(const std::set<std::string>& names) const {
    auto all = names;
    return std::ranges::any_of(writers(all), [](const Node* node) {
        return std::ranges::any_of(node->reads, [](const Wire& wire) { return wire.with_gradient; });
    });
}

Tensors Plan::outputs(const Tensors& views, const std::set<std::string>& names, const Context& whole) const {
    auto read = names;
    const auto order = writers(read);
    std::set<std::string> carried;  // tensors that a gradient goes through
    for (const auto* node : order)
        for (const auto& wire : node->reads)
            if (wire.with_gradient) carried.insert(wire.name);
    auto tensors = views;
    const auto asked = carried;
    for (const auto& name : asked) ask_gradient(tensors, name);
    for (const auto* node : std::views::reverse(order)) {
        std::set<std::string> wanted;
        for (const auto& wire : node->writes)
            if (read.count(wire.name) != 0) wanted.insert(wire.port);
        auto context = whole;
        context.wanted = &wanted;
        context.learns = false;
        context.stream = static_cast<std::uint64_t>(node - nodes_.data());
        const bool carries = node->trained || std::ranges::any_of(node->reads, [&](const Wire& wire) {
                                 return !wire.detached && carried.count(wire.name) != 0;
                             });
        run(*node, context, carries, tensors);
        for (const auto& wire : node->writes) {
            if (carries && !asked.empty()) carried.insert(wire.name);
            if (asked.count(wire.name) != 0) ask_gradient(tensors, wire.name);
        }
    }
    Tensors out;
    for (const auto& name : names) out.set(name, tensors[name]);
    return out;
}

std::string Plan::place_of(const std::string& name) const {
    for (const auto& node : nodes_)
        for (const auto* wires : {&node.writes, &node.drawn})
            if (std::ranges::find(*wires, name, &Wire::name) != wires->end()) return node.place;
    return "";
}

Shape Plan::shape(const std::string& name) const {
    for (const auto& node : nodes_)
        for (const auto* wires : {&node.writes, &node.reads})
            for (const auto& wire : *wires)
                if (wire.name == name && !wire.shape.empty()) return wire.shape;
    return {};
}

std::vector<std::pair<std::string, std::shared_ptr<Component>>> Plan::components() const {
    std::vector<std::pair<std::string, std::shared_ptr<Component>>> out;
    for (const auto& node : nodes_)
        if (node.kind == Kind::augment) out.emplace_back(node.id, node.component);
    for (const auto& network : networks_)
        for (const auto& [part, component] : network.components())
            out.emplace_back(network.name + "." + part, component);
    for (const auto& [name, head] : heads_) out.emplace_back("head." + name, head);
    for (const auto& [name, loss] : losses_) out.emplace_back("loss." + name, loss);
    return out;
}

std::vector<Called> Plan::components(const Phase& phase) const {
    std::map<const Component*, bool> learns;  // of those that run
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const bool called = phase.uses[i].runs || phases_.size() == 1;
        if (called && (nodes_[i].kind != Kind::augment || &phase == &phases_.front()))
            learns[nodes_[i].component.get()] |= phase.uses[i].learns;
    }
    std::vector<Called> out;
    for (const auto& [name, component] : components())
        if (const auto found = learns.find(component.get()); found != learns.end())
            out.push_back({name, component, found->second});
    return out;
}

std::vector<std::pair<std::string, at::Tensor>> Plan::state() const {
    std::vector<std::pair<std::string, at::Tensor>> out;
    for (const auto& [name, component] : components()) {
        for (const auto& item : component->named_parameters())
            out.emplace_back(name + "." + item.key(), item.value());
        for (const auto& item : component->named_buffers())
            out.emplace_back(name + "." + item.key(), item.value());
    }
    return out;
}

void Plan::load(const base::SafeTensors& saved, const std::string& file) {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : state()) {
        const auto source = saved.find(name);
        if (!source.defined())
            throw DataError(
                fmt::format("{}: found no tensor '{}'; the plugins are not those of the run (its env.json has "
                            "their versions): the README of the plugin says how it reads older checkpoints",
                            file, name));
        if (tensor.numel() == 0 && !tensor.requires_grad() && source.numel() > 0)
            tensor.resize_(source.sizes());
        if (source.sizes() != tensor.sizes())
            throw DataError(
                fmt::format("{}: found '{}' as [{}], expected [{}]; the recipe is not that of the run", file,
                            name, fmt::join(source.sizes(), ", "), fmt::join(tensor.sizes(), ", ")));
        tensor.copy_(source);
    }
}

std::vector<std::pair<std::string, at::Tensor>> Plan::trained_parameters(const Phase& phase) const {
    std::vector<std::pair<std::string, at::Tensor>> out;
    for (const auto& [name, component] : components())
        for (const auto& item : component->named_parameters())
            if (const auto full = name + "." + item.key(); phase.parameters.count(full) != 0)
                out.emplace_back(full, item.value());
    return out;
}

std::vector<std::pair<std::string, at::Tensor>> Plan::trained_parameters() const {
    std::vector<std::pair<std::string, at::Tensor>> out;
    for (const auto& phase : phases_) std::ranges::move(trained_parameters(phase), std::back_inserter(out));
    return out;
}

std::vector<at::Tensor> Plan::buffers_to_keep(const Phase& phase) const {
    std::vector<at::Tensor> out;
    for (const auto& network : networks_) {
        if (phase.updates(network.name) || phase.updates(network.follows) || network.frozen) continue;
        for (const auto& [name, buffer] : network.named_buffers()) out.push_back(buffer);
    }
    return out;
}

void Plan::ask_gradients(const Phase& phase) {
    std::set<std::string> all;
    for (const auto& each : phases_) all.insert(each.parameters.begin(), each.parameters.end());
    for (const auto& [name, component] : components())
        for (auto& item : component->named_parameters())
            if (const auto full = name + "." + item.key(); all.count(full) != 0)
                item.value().set_requires_grad(phase.parameters.count(full) != 0);
}

void Plan::to(c10::Device device) {
    for (const auto& [name, component] : components()) component->to(device);
}

void Plan::train(bool on) {
    for (const auto& [name, component] : components()) component->train(on);
    // What is frozen stays as it is: no statistics of its norms move.
    for (const auto& network : networks_)
        if (network.frozen || network.eval_mode)
            for (const auto& [part, component] : network.components()) component->train(false);
}

}  // namespace hearth::plan
