#include "plan/plan.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include "plan/builder.hpp"

namespace hearth::plan {

Plan Plan::build(const recipe::Recipe& recipe, const host::Registry& registry) {
    return Builder(recipe, registry).build();
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
    std::uint64_t stream = 1;  // stream 0 orders the samples
    for (const auto& node : nodes_) {
        if (node.kind != Kind::augment) continue;
        Tensors in;
        for (const auto& wire : node.reads)
            if (!wire.name.empty()) in.set(wire.port, views[wire.name]);
        auto own = key;
        own.stream = stream++;
        Random random(own);
        const auto out = host::guarded(node.where + ": " + node.id, [&] {
            return std::static_pointer_cast<Augment>(node.component)->sample(in, random);
        });
        for (const auto& wire : node.writes)
            if (out.has(wire.port)) views.set(wire.name, out[wire.port]);
    }
}

std::string Plan::watched_features(const recipe::MonitorSpec& monitor) const {
    if (!monitor.features.empty()) return monitor.features;
    for (const auto& node : nodes_)
        if (node.kind == Kind::backbone && node.trained && node.runs) return node.pass + ".cls";
    return "";
}

StepOutput Plan::step(const Tensors& batch, const Context& whole) const {
    StepOutput result;
    result.tensors = batch;
    for (const auto& node : nodes_) {
        if (!node.runs || node.kind == Kind::augment) continue;
        auto context = whole;
        context.wanted = &node.wanted;
        Tensors in;
        for (const auto& wire : node.reads) {
            if (wire.name.empty()) continue;
            const auto& tensor = result.tensors[wire.name];
            in.set(wire.port, node.group > 0 ? tensor.flatten(0, 1) : tensor);
        }
        const auto where = node.where + ": " + node.id;
        if (node.kind == Kind::loss) {
            auto out = host::guarded(
                where, [&] { return std::static_pointer_cast<Loss>(node.component)->forward(in, context); });
            const double weight = context.value(weights_[node.loss_index]);
            auto weighted = weight == 1.0 ? out.total : out.total * weight;
            result.total = result.total.defined() ? result.total + weighted : weighted;
            for (const auto& [name, value] : out.terms) result.terms.emplace_back(name, value.detach());
            continue;
        }
        torch::AutoGradMode gradients(node.trained && torch::GradMode::is_enabled());
        const auto out = host::guarded(where, [&] {
            return node.kind == Kind::backbone
                       ? std::static_pointer_cast<Backbone>(node.component)->forward(in, context)
                       : std::static_pointer_cast<Head>(node.component)->forward(in, context);
        });
        for (const auto& wire : node.writes)
            if (out.has(wire.port))
                result.tensors.set(
                    wire.name, node.group > 0 ? out[wire.port].unflatten(0, {node.group, -1}) : out[wire.port]);
    }
    return result;
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
