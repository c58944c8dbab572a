// The augment out of the built library: what a border is, and that the same key makes the same film.
#include <hearth/testing.hpp>

namespace {

using namespace hearth;
using namespace hearth::testing;

Made<Augment> make(const std::vector<std::string>& options) {
    static const Plugin plugin(HEARTH_PLUGIN_FILE);
    return plugin.make<Augment>("collimation-border", options, {{"B", 1}, {"C", 1}, {"H", 24}, {"W", 32}});
}

Tensors draw(const Made<Augment>& augment, std::uint64_t sample = 0) {
    Random random({.seed = 1, .epoch = 0, .sample = sample, .stream = 1});
    return augment->sample(augment.views(), random);
}

void is_dark_outside_the_field() {
    const auto augment = make({"chance=1", "level=0.25", "width=0.4"});
    const auto out = draw(augment);
    const auto dark = out["field"] == 0, light = out["field"] == 1;
    expect(dark.any().item<bool>() && light.any().item<bool>(), "a border and a field");
    expect_close(out["collimated"].masked_select(dark), at::full({dark.sum().item<std::int64_t>()}, 0.25));
    expect_close(out["collimated"].masked_select(light), augment.views()["image"].masked_select(light));
}

void is_drawn_by_chance() {
    const auto augment = make({"chance=0"});
    expect(at::equal(draw(augment)["collimated"], augment.views()["image"]), "the film as it was");
    augment.expect_declared(draw(augment), /*sample=*/true);
}

void repeats_itself() {
    expect_repeatable(make({}));
}

void writes_what_it_declares() {
    const auto augment = make({"chance=1"});
    augment.expect_declared(draw(augment), /*sample=*/true);
}

}  // namespace

int main() {
    return run_all({{"it is dark outside the field and the film inside", is_dark_outside_the_field},
                    {"without chance it leaves the film alone", is_drawn_by_chance},
                    {"the same key makes the same film", repeats_itself},
                    {"it writes what it declares", writes_what_it_declares}});
}
