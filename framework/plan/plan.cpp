#include "plan/plan.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <hearth/tokens.hpp>
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
        const auto out = host::guarded(node.where + ": " + node.id, [&] {
            return draws ? node.on_device->draw(in, random)
                         : std::static_pointer_cast<Augment>(node.component)->sample(in, random);
        });
        for (const auto& wire : draws ? node.drawn : node.writes)
            if (out.has(wire.port)) views.set(wire.name, out[wire.port]);
    }
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

Tensors inputs(const Node& node, const Tensors& tensors) {
    Tensors in;
    for (const auto& wire : node.reads) {
        if (wire.name.empty()) continue;
        const auto& tensor = tensors[wire.name];
        in.set(wire.port, node.group > 0 ? tensor.flatten(0, 1) : tensor);
    }
    return in;
}

}  // namespace

Tensors Plan::render(Tensors batch) const {
    for (const auto& node : nodes_)
        if (node.on_device) render_on_device(node, batch);
    return batch;
}

void Plan::render_on_device(const Node& node, Tensors& tensors) const {
    const at::NoGradGuard no_grad;
    const FullPrecision exact;
    Tensors drawn;
    for (const auto& wire : node.drawn) drawn.set(wire.port, tensors[wire.name]);
    const auto out = host::guarded(node.where + ": " + node.id,
                                   [&] { return node.on_device->render(inputs(node, tensors), drawn); });
    for (const auto& wire : node.writes)
        if (out.has(wire.port)) tensors.set(wire.name, out[wire.port]);
}

void Plan::run(const Node& node, const Context& context, Tensors& tensors) const {
    const auto in = inputs(node, tensors);
    at::AutoGradMode gradients(node.trained && at::GradMode::is_enabled());
    const auto out = host::guarded(node.where + ": " + node.id, [&] {
        return node.kind == Kind::backbone
                   ? std::static_pointer_cast<Backbone>(node.component)->forward(in, context)
                   : std::static_pointer_cast<Head>(node.component)->forward(in, context);
    });
    for (const auto& wire : node.writes)
        if (out.has(wire.port))
            tensors.set(wire.name,
                        node.group > 0 ? out[wire.port].unflatten(0, {node.group, -1}) : out[wire.port]);
}

// Rows of one image follow each other: every samples_per_image_-th row has all images.
void Plan::run_once_per_image(const Node& node, const Context& context, Tensors& tensors,
                              Tensors& unique) const {
    for (const auto& wire : node.reads)
        if (!wire.name.empty() && !unique.has(wire.name))
            unique.set(wire.name, tensors[wire.name].slice(0, 0, std::nullopt, samples_per_image_));
    run(node, context, unique);
    for (const auto& wire : node.writes) {
        if (!unique.has(wire.name)) continue;
        const auto& made = unique[wire.name];
        const bool by_image = !wire.shape.empty() && wire.shape.front() == Dim("B");
        tensors.set(wire.name, by_image ? made.repeat_interleave(samples_per_image_, 0) : made);
    }
}

StepOutput Plan::step(const Tensors& batch, const Context& whole, const NodeObserver& observer) const {
    StepOutput result;
    result.tensors = batch;
    Tensors unique;
    for (const auto& node : nodes_) {
        if (!node.runs || (node.kind == Kind::augment && !node.on_device)) continue;
        if (observer) observer(&node);
        if (node.on_device) {
            render_on_device(node, result.tensors);
            continue;
        }
        auto context = whole;
        context.wanted = &node.wanted;
        if (node.once_per_image && samples_per_image_ > 1) {
            run_once_per_image(node, context, result.tensors, unique);
            continue;
        }
        if (node.kind != Kind::loss) {
            run(node, context, result.tensors);
            continue;
        }
        auto out = host::guarded(node.where + ": " + node.id, [&] {
            return std::static_pointer_cast<Loss>(node.component)
                ->forward(inputs(node, result.tensors), context);
        });
        const double weight = context.value(weights_[node.loss_index]);
        auto weighted = weight == 1.0 ? out.total : out.total * weight;
        result.total = result.total.defined() ? result.total + weighted : weighted;
        for (const auto& [name, value] : out.terms) result.terms.emplace_back(name, value.detach());
    }
    if (observer) observer(nullptr);
    return result;
}

// Backwards: the nodes that the names need, last first; `names` receives all that these nodes read.
std::vector<const Node*> Plan::writers(std::set<std::string>& names) const {
    std::vector<const Node*> found;
    for (const auto& node : std::views::reverse(nodes_)) {
        const bool passes = node.kind == Kind::backbone || node.kind == Kind::head;
        const bool needed =
            std::ranges::any_of(node.writes, [&](const Wire& wire) { return names.count(wire.name) != 0; });
        if (!passes || !needed) continue;
        found.push_back(&node);
        for (const auto& wire : node.reads)
            if (!wire.name.empty()) names.insert(wire.name);
    }
    return found;
}

std::set<std::string> Plan::needs(const std::set<std::string>& names) const {
    std::vector<std::string> written;
    for (const auto& node : nodes_)
        if (node.kind == Kind::backbone || node.kind == Kind::head)
            for (const auto& wire : node.writes) written.push_back(wire.name);
    for (const auto& name : names)
        if (std::find(written.begin(), written.end(), name) == written.end())
            throw RecipeError(fmt::format("no pass writes '{}'{}; there are: {}", name,
                                          did_you_mean(name, written), join(written)));
    auto all = names;
    writers(all);
    for (const auto& name : written) all.erase(name);
    return all;
}

Tensors Plan::outputs(const Tensors& views, const std::set<std::string>& names, const Context& whole) const {
    auto read = names;
    const auto order = writers(read);
    auto tensors = views;
    for (const auto* node : std::views::reverse(order)) {
        std::set<std::string> wanted;
        for (const auto& wire : node->writes)
            if (read.count(wire.name) != 0) wanted.insert(wire.port);
        auto context = whole;
        context.wanted = &wanted;
        run(*node, context, tensors);
    }
    Tensors out;
    for (const auto& name : names) out.set(name, tensors[name]);
    return out;
}

Shape Plan::shape(const std::string& name) const {
    for (const auto& node : nodes_)
        for (const auto* wires : {&node.writes, &node.reads})
            for (const auto& wire : *wires)
                if (wire.name == name && !wire.shape.empty()) return wire.shape;
    return {};
}

Tensors Plan::features(const std::string& name, const at::Tensor& image, const Context& context) const {
    const auto* found = network(name);
    if (found == nullptr || !found->backbone)
        throw RecipeError(fmt::format("network '{}' has no backbone to take features from", name));
    return host::guarded("features of " + name, [&] {
        return std::static_pointer_cast<Backbone>(found->backbone)->forward(Tensors{{"image", image}}, context);
    });
}

std::vector<std::pair<std::string, std::shared_ptr<Component>>> Plan::components() const {
    std::vector<std::pair<std::string, std::shared_ptr<Component>>> out;
    for (const auto& node : nodes_)
        if (node.kind == Kind::augment) out.emplace_back(node.id, node.component);
    for (const auto& network : networks_)
        for (const auto& [part, component] : network.components())
            out.emplace_back(network.name + "." + part, component);
    for (const auto& [name, loss] : losses_) out.emplace_back("loss." + name, loss);
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
        if (source.sizes() != tensor.sizes())
            throw DataError(
                fmt::format("{}: found '{}' as [{}], expected [{}]; the recipe is not that of the run", file,
                            name, fmt::join(source.sizes(), ", "), fmt::join(tensor.sizes(), ", ")));
        tensor.copy_(source);
    }
}

std::vector<std::pair<std::string, at::Tensor>> Plan::trained_parameters() const {
    std::set<const Component*> running;  // a head that no loss reads is not trained
    for (const auto& node : nodes_)
        if (node.runs) running.insert(node.component.get());
    std::vector<std::pair<std::string, at::Tensor>> out;
    const auto add = [&](const std::string& name, const Component& component) {
        if (running.count(&component) == 0) return;
        for (const auto& item : component.named_parameters())
            if (item.value().requires_grad()) out.emplace_back(name + "." + item.key(), item.value());
    };
    for (const auto& network : networks_)
        if (network.trained())
            for (const auto& [part, component] : network.components())
                add(network.name + "." + part, *component);
    for (const auto& [name, loss] : losses_) add("loss." + name, *loss);
    return out;
}

void Plan::to(c10::Device device) {
    for (const auto& [name, component] : components()) component->to(device);
}

void Plan::train(bool on) {
    for (const auto& [name, component] : components()) component->train(on);
    // What is frozen stays as it is: no statistics of its norms move.
    for (const auto& network : networks_)
        if (network.frozen)
            for (const auto& [part, component] : network.components()) component->train(false);
}

}  // namespace hearth::plan
