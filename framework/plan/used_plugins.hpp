// Which plugins a recipe uses, of all that were found.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/registry.hpp"
#include "recipe/recipe.hpp"

namespace hearth::plan {

struct UsedPlugin {
    const host::Library* library = nullptr;
    std::set<std::string> components;  ///< "backbone vit"
};

/// By id, of all stages of the recipe. A component that nobody offers is left out: the plan reports it.
std::vector<UsedPlugin> used_plugins(const recipe::Recipe& recipe, const host::Registry& registry);

/// Every component of the recipe with its kind and its path: "networks.student.backbone".
struct NamedComponent {
    Kind kind;
    std::string path;
    const recipe::ComponentSpec* spec = nullptr;
};
std::vector<NamedComponent> components_of(const recipe::Recipe& recipe);

}  // namespace hearth::plan
