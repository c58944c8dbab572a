#include "plan/used_plugins.hpp"

#include <map>

namespace hearth::plan {
namespace {

void use(const recipe::Recipe& recipe, const host::Registry& registry,
         std::map<std::string, UsedPlugin>& plugins) {
    for (const auto& named : components_of(recipe)) {
        const auto* type = registry.try_find(named.kind, named.spec->use);
        if (type == nullptr) continue;
        auto& plugin = plugins[type->library().plugin->id];
        plugin.library = &type->library();
        plugin.components.insert(to_string(named.kind) + " " + type->id());
    }
}

}  // namespace

std::vector<NamedComponent> components_of(const recipe::Recipe& recipe) {
    std::vector<NamedComponent> out;
    const auto all = [&](Kind kind, const std::string& path, const std::vector<recipe::ComponentSpec>& specs) {
        for (const auto& spec : specs) out.push_back({kind, path + spec.name, &spec});
    };
    all(Kind::augment, "augment.", recipe.augments);
    all(Kind::loss, "loss.", recipe.losses);
    all(Kind::head, "head.", recipe.heads);
    for (const auto& network : recipe.networks) {
        const auto path = "networks." + network.name + ".";
        if (network.backbone) out.push_back({Kind::backbone, path + "backbone", &*network.backbone});
        all(Kind::head, path + "heads.", network.heads);
    }
    return out;
}

std::vector<UsedPlugin> used_plugins(const recipe::Recipe& recipe, const host::Registry& registry) {
    std::map<std::string, UsedPlugin> plugins;
    use(recipe, registry, plugins);
    for (const auto& stage : recipe::stages(recipe)) use(stage, registry, plugins);
    std::vector<UsedPlugin> out;
    for (auto& [id, plugin] : plugins) out.push_back(std::move(plugin));
    return out;
}

}  // namespace hearth::plan
