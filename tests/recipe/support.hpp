// Recipes of tests: written to a temporary folder, loaded, and their errors as text.
#pragma once

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "recipe/recipe.hpp"
#include "support/temporary_folder.hpp"

namespace hearth::test {

/// The least that loads.
inline const std::string smallest = R"(schema = 1
[data]
source = "phantom"
[networks.student]
backbone = { use = "vit" }
)";

/// `text` as a.toml beside `others`, loaded. The folder's path is "" in messages, so that tests can write
/// "a.toml:3:1".
struct Attempt {
    TemporaryFolder folder;

    Attempt& file(const std::string& name, const std::string& text) {
        folder.write(name, text);
        return *this;
    }
    recipe::Recipe load(const std::vector<std::string>& overrides = {}) {
        return recipe::load(folder / "a.toml", overrides);
    }
    recipe::Table tree(const std::vector<std::string>& overrides = {}) {
        return recipe::load_tree(folder / "a.toml", overrides);
    }
    /// The message of the RecipeError that loading must end in.
    std::string error(const std::vector<std::string>& overrides = {}) {
        return shortened(message_of<RecipeError>([&] { load(overrides); }));
    }
    std::string shortened(std::string text) const {
        const auto prefix = folder.path().string() + "/";
        for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
            text.erase(at, prefix.size());
        return text;
    }
};

/// The value at a.b.c of a tree, as TOML.
inline std::string value_at(const recipe::Table& tree, const std::vector<std::string>& path) {
    const recipe::Table* table = &tree;
    const recipe::Value* value = nullptr;
    for (const auto& key : path) {
        value = table == nullptr ? nullptr : table->find(key);
        if (value == nullptr) return "(nothing)";
        table = value->is_table() ? &value->table() : nullptr;
    }
    return value->to_toml();
}

}  // namespace hearth::test
