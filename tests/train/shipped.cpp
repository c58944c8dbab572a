// What the pixel losses of every shipped recipe say of networks that know nothing yet.
#include <algorithm>

#include "plan/support.hpp"
#include "train/check.hpp"

namespace train_shipped {

using namespace hearth;
using namespace hearth::test;

TEST_CASE("a fresh network's error of pixels is of order 1 in every shipped recipe") {
    // Pixels are compared in the unit that networks see and write. In another unit the first thing to learn is
    // the grey level of films, and little else is.
    const std::set<std::string> of_pixels = {"restoration", "reconstruction"};
    int compared = 0;
    for_each_shipped_recipe([&](const std::filesystem::path& file) {
        const auto recipe = small(file);
        if (std::ranges::none_of(recipe.losses, [](const auto& loss) {
                return loss.use == "restoration" || loss.use == "masked-reconstruction";
            }))
            return;
        const auto result = train::check(recipe, registry());
        for (const auto& [name, value] : result.terms) {
            if (of_pixels.count(name) == 0) continue;
            INFO(name);
            CHECK(value > 0.3);
            CHECK(value < 3);
            ++compared;
        }
    });
    CHECK(compared >= 15);
}

}  // namespace train_shipped
