// Recipes of plan tests: written to a.toml of a temporary folder, planned with the plugins of this build.
#pragma once

#include <ATen/ATen.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "plan/plan.hpp"
#include "recipe/support.hpp"
#include "support/plugins.hpp"

namespace hearth::test {

/// One trained network that restores what an augment changed: 32 x 32 pixels, 16 tokens of width 192.
inline const std::string restoring = R"(schema = 1
[data]
source = "phantom"
size = 32
[[augment]]
use = "slm"
[networks.student]
backbone = { use = "vit", size = "tiny", patch = 8, depth = 1 }
[networks.student.heads]
restore = { use = "restoration-decoder", depth = 1, width = 32, heads = 2 }
[[pass]]
network = "student"
view = "abnormal"
[[loss]]
use = "restoration"
patch = 8
)";

/// A recipe that extends the demo recipe; `top` comes before the tables, `tables` after.
inline std::string extending_demo(const std::string& top = "", const std::string& tables = "") {
    return "schema = 1\nextends = [\"" HEARTH_TEST_SOURCE_DIR "/recipes/base/phantom-tiny.toml\"]\n" + top +
           "\n" + tables;
}
/// The demo recipe at sizes of its own, which compute in no time: 16 tokens of width 48, 8 clusters.
inline const std::string small_demo = extending_demo("", R"(
[data]
size = 32
[networks.student]
backbone = { patch = 8, dim = 48, depth = 1, heads = 3 }
[networks.student.heads]
project = { out = 8, hidden = 16, bottleneck = 8 }
restore = { depth = 1, width = 32, heads = 2 }
)");

/// `text` with its one occurrence of `from` replaced. A test that misses its target fails.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

inline plan::Plan planned(const std::string& text, const std::vector<std::string>& overrides = {}) {
    Attempt attempt;
    attempt.file("a.toml", text);
    return plan::Plan::build(attempt.load(overrides), registry());
}

/// What planning a recipe that loads is refused with, "a.toml" without its folder.
inline std::string refusal(const std::string& text) {
    Attempt attempt;
    attempt.file("a.toml", text);
    const auto recipe = attempt.load();
    return attempt.shortened(message_of<RecipeError>([&] { plan::Plan::build(recipe, registry()); }));
}

inline const plan::Node& node(const plan::Plan& plan, const std::string& id) {
    for (const auto& node : plan.nodes())
        if (node.id == id) return node;
    FAIL("found no node " << id);
    return plan.nodes().front();
}

inline std::vector<std::string> ids(const plan::Plan& plan) {
    std::vector<std::string> out;
    for (const auto& node : plan.nodes()) out.push_back(node.id);
    return out;
}

/// "name: shape" of a port of a node.
inline std::string wire(const plan::Node& node, const std::string& port) {
    for (const auto* wires : {&node.reads, &node.writes})
        for (const auto& wire : *wires)
            if (wire.port == port) return wire.name + ": " + to_string(wire.shape);
    return "(no such port)";
}

/// A batch of what was made of each sample, by name, as the loader puts it together.
inline Tensors stacked(const plan::Plan& plan, const std::map<std::string, std::vector<at::Tensor>>& rows) {
    Tensors out;
    for (const auto& [name, list] : rows) {
        const auto axis = plan.batch_axes().find(name);
        out.set(name, at::stack(list, axis == plan.batch_axes().end() ? 0 : axis->second));
    }
    return out;
}

/// Gradients of two plans that were seeded alike.
inline void check_same_gradients(const plan::Plan& expected, const plan::Plan& found) {
    const auto a = expected.trained_parameters(), b = found.trained_parameters();
    for (std::size_t i = 0; i < a.size(); ++i) {
        INFO(a[i].first);
        CHECK(at::allclose(a[i].second.grad(), b[i].second.grad(), 1e-3, 1e-6));
    }
}

/// look(file) for every recipe that can be run, in the order of their paths.
template <class Look>
void for_each_shipped_recipe(const Look& look) {
    const auto root = std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "recipes";
    std::set<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
        if (entry.path().extension() == ".toml" && entry.path().parent_path().filename() != "base")
            files.insert(entry.path());
    for (const auto* folder : {"CHILDCXR", "NIHBOX"}) setenv(folder, "/films", 1);
    for (const auto& file : files) {
        INFO(std::filesystem::relative(file, root));
        look(file);
    }
    for (const auto* folder : {"CHILDCXR", "NIHBOX"}) unsetenv(folder);
}

/// A shipped recipe on generated images; a ViT is a small one, for what is planned does not depend on its size.
inline recipe::Recipe small(const std::filesystem::path& file) {
    std::vector<std::string> overrides = {"data.source=phantom"};
    const auto written = recipe::load(file, overrides);
    const auto* student = written.network("student");
    if (student != nullptr && student->backbone && student->backbone->use == "vit") {
        overrides.emplace_back("networks.student.backbone.size=tiny");
        overrides.emplace_back("networks.student.backbone.depth=2");
    }
    return recipe::load(file, overrides);
}

/// Two images through the plan's augments, as the loader would deliver them.
inline Tensors batch(const plan::Plan& plan, std::int64_t size) {
    std::map<std::string, std::vector<at::Tensor>> rows;
    at::manual_seed(7);
    for (std::uint64_t sample = 0; sample < 2; ++sample) {
        Tensors views{{"image", at::rand({1, size, size})}};
        plan.augment(views, {.seed = 0, .epoch = 0, .sample = sample, .stream = 0});
        for (const auto& name : plan.delivered()) rows[name].push_back(views[name]);
    }
    return stacked(plan, rows);
}

}  // namespace hearth::test
