// Every recipe in recipes/ wires up: baselines, ablation rows, hybrids.
#include <algorithm>

#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;

TEST_CASE("every shipped recipe can be planned, and nothing in it is idle") {
    std::size_t planned_recipes = 0;
    for_each_shipped_recipe([&](const std::filesystem::path& file) {
        for (const auto& recipe : recipe::stages(small(file))) {
            CHECK_FALSE(recipe.name.empty());
            const auto plan = plan::Plan::build(recipe, registry());
            for (const auto& warning : plan.warnings()) CHECK(warning == "");
            const auto trained = plan.trained_parameters();
            CHECK_FALSE(trained.empty());
            for (const auto& pattern : recipe.optimizer.freeze)
                CHECK(std::any_of(trained.begin(), trained.end(), [&](const auto& parameter) {
                    return parameter.first.find(pattern) != std::string::npos;
                }));
        }
        ++planned_recipes;
    });
    CHECK(planned_recipes >= 17);
}
