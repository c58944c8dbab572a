// data.augment_on = "device": the loader draws, the step makes the views; the same step comes of it.
#include <hearth/mixed_precision.hpp>

#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string on_device = "data.augment_on=device";

/// `count` random images through `plan`'s half of the loader.
Tensors prepared(const plan::Plan& plan, std::int64_t size, std::uint64_t count = 3) {
    std::map<std::string, std::vector<at::Tensor>> rows;
    at::manual_seed(7);
    for (std::uint64_t sample = 0; sample < count; ++sample) {
        Tensors views{{"image", at::rand({1, size, size})}};
        plan.prepare(views, {.seed = 1, .epoch = 0, .sample = sample, .stream = 0});
        for (const auto& name : plan.delivered()) rows[name].push_back(views[name]);
    }
    return stacked(plan, rows);
}

plan::Plan seeded(const std::string& text, const std::vector<std::string>& overrides) {
    at::manual_seed(1);
    return planned(text, overrides);
}

/// slm, whose view a multi-crop reads.
std::string chained() {
    return replaced(restoring, "[networks.student]\n", R"([[augment]]
use = "multi-crop"
reads = { image = "abnormal" }
global_crops = 1
global_size = 32
local_crops = 0
[networks.student]
)");
}

}  // namespace

TEST_CASE("augments on the device take images and draws from the loader") {
    const auto plan = planned(restoring, {on_device});
    CHECK(plan.delivered() == std::set<std::string>{"augment.slm.lesions", "augment.slm.textures", "image"});
    CHECK(node(plan, "augment.slm").on_device);
    CHECK(plan.warnings().empty());
    CHECK_THAT(plan::to_text(plan), Contains("augment slm  (on the device)"));
    CHECK(planned(restoring).delivered() == std::set<std::string>{"abnormal", "mask", "normal"});
}

TEST_CASE("a step with views from the device is the step with views from the workers") {
    const auto here = seeded(restoring, {}), there = seeded(restoring, {on_device});
    const auto with_views = prepared(here, 32), with_draws = prepared(there, 32);
    const auto views = there.render(with_draws);
    for (const char* name : {"normal", "abnormal", "mask"})
        CHECK(at::allclose(views[name], with_views[name], 0, 1e-5));
    auto expected = here.step(with_views, {}), found = there.step(with_draws, {});
    CHECK(found.total.item<double>() == Approx(expected.total.item<double>()).epsilon(1e-4));
    expected.total.backward();
    found.total.backward();
    check_same_gradients(here, there);
}

TEST_CASE("views from the device are exact in mixed precision and carry no gradient") {
    const auto plan = planned(restoring, {on_device});
    const auto batch = prepared(plan, 32);
    const auto exact = plan.render(batch)["abnormal"];
    const MixedPrecision mixed(c10::kCPU, true);
    const auto found = plan.step(batch, {}).tensors["abnormal"];
    CHECK(found.equal(exact));
    CHECK_FALSE(found.requires_grad());
}

TEST_CASE("an augment whose view another one reads stays in the workers, and the plan says so") {
    const auto plan = planned(chained(), {on_device, "pass.student.view=global"});
    CHECK_FALSE(node(plan, "augment.slm").on_device);
    CHECK(node(plan, "augment.multi-crop").on_device);
    CHECK(plan.delivered().count("abnormal") == 1);
    REQUIRE(plan.warnings().size() == 1);
    CHECK_THAT(plan.warnings().front(), Contains("augment.slm stays in the loader's workers") &&
                                            Contains("another augment reads what it writes"));
}

TEST_CASE("an augment that knows single samples only stays in the workers, and the plan says so") {
    const auto text = replaced(restoring, "use = \"slm\"", "use = \"anatpaste\"");
    const auto plan = planned(text, {on_device});
    CHECK(plan.delivered() == planned(text).delivered());
    REQUIRE(plan.warnings().size() == 1);
    CHECK_THAT(plan.warnings().front(), Contains("it makes views of one sample at a time"));
    CHECK(planned(text).warnings().empty());
}
