// What `hearth check` finds out about components besides the numbers of a step.
#include "train/conduct.hpp"

#include <hearth/error.hpp>

#include "train/check.hpp"
#include "train/monitor.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const host::Registry& with_negative() {
    static const host::Registry loaded = [] {
        const fs::path negative(HEARTH_TEST_PLUGINS);
        host::Registry made;
        made.scan({{fs::path(HEARTH_TEST_BINARY_DIR) / "lib/hearth/plugins", "test"},
                   {negative / "good", "test"},
                   {negative / "faulty", "test"}});
        return made;
    }();
    return loaded;
}

const std::string parts_that_fail = R"(schema = 1
[data]
source = "phantom"
size = 32
[[augment]]
use = "dimmed"
[networks.student]
backbone = { use = "vit", dim = 48, heads = 3, patch = 8, depth = 1 }
heads.scale = { use = "scale" }
[[pass]]
network = "student"
view = "dim"
[[loss]]
use = "rows"
reads = { rows = "student.scaled", view = "cut" }
[train]
device = "cpu"
precision = "fp32"
threads = 1
)";

train::CheckResult checked(const std::vector<std::string>& overrides = {}) {
    const TemporaryFolder folder;
    const auto recipe = recipe::load(folder.write("a.toml", parts_that_fail), overrides);
    return train::check(recipe, with_negative());
}

/// What check ends in; of a plugin's fault unless said otherwise.
template <class Problem = PluginError>
std::string check_refusal(const std::string& override_text) {
    return message_of<Problem>([&] { checked({override_text}); });
}

}  // namespace

TEST_CASE("components that do as they declare pass the check") {
    const auto result = checked();
    CHECK(result.ok());
    CHECK(result.terms.front().first == "loss");
}

TEST_CASE("check ends in the fault of a plugin that returns something else than it declared") {
    for (const std::string fault :
         {"rank", "size", "batch", "type", "device", "missing", "undefined", "undeclared", "in place"}) {
        INFO(fault);
        CHECK_THAT(check_refusal("networks.student.heads.scale.fault=\"" + fault + "\""),
                   Contains("student.scale: head 'scale' of plugin scale 1.2.3 ("));
    }
    for (const std::string fault :
         {"undefined", "vector", "integer", "double", "detached", "per sample", "term"}) {
        INFO(fault);
        CHECK_THAT(check_refusal("loss.rows.fault=\"" + fault + "\""),
                   Contains("loss.rows: loss 'rows' of plugin faulty 1.2.3 ("));
    }
    for (const std::string fault : {"size", "type", "missing", "undeclared", "in place"}) {
        INFO(fault);
        CHECK_THAT(check_refusal("augment.dimmed.fault=\"" + fault + "\""),
                   Contains("augment.dimmed: augment 'dimmed' of plugin faulty 1.2.3 ("));
    }
}

TEST_CASE("views that have another size for each image are refused with their augment") {
    CHECK_THAT(check_refusal("augment.dimmed.fault=uneven"), Contains("augment 'dimmed' of plugin faulty") &&
                                                                 Contains("view 'cut': found [1, ") &&
                                                                 Contains("expected one shape for all images"));
}

TEST_CASE("what writes into its input through a raw pointer is found by the copy") {
    CHECK_THAT(
        check_refusal("networks.student.heads.scale.fault=raw"),
        Contains("head 'scale' of plugin scale") && Contains("input 'tokens': found it changed in place"));
    CHECK_THAT(
        check_refusal("augment.dimmed.fault=raw"),
        Contains("augment 'dimmed' of plugin faulty") && Contains("input 'image': found it changed in place"));
}

TEST_CASE("an augment that draws from something else than its Random is named") {
    CHECK_THAT(
        check_refusal("augment.dimmed.fault=rand"),
        Contains("augment 'dimmed' of plugin faulty") &&
            Contains("output 'dim': found another one for the same image and key, expected the same; it draws "
                     "from something else than its Random"));
    CHECK_THAT(check_refusal("augment.dimmed.fault=shared"), Contains("output 'dim': found another one"));
}

TEST_CASE("a view that is not finite is its augment's") {
    CHECK_THAT(check_refusal<NumericError>("augment.dimmed.fault=\"not finite\""),
               Contains("augment 'dimmed' of plugin faulty") &&
                   Contains("output 'dim': found a value that is not finite"));
}

TEST_CASE("where a not-a-number is searched for, an augment's own view comes first") {
    const TemporaryFolder folder;
    const auto recipe =
        recipe::load(folder.write("a.toml", parts_that_fail), {"augment.dimmed.fault=\"not finite\""});
    const auto plan = plan::Plan::build(recipe, with_negative());
    Tensors views{{"image", at::rand({1, 32, 32})}};
    plan.augment(views, {.seed = 0, .epoch = 0, .sample = 0, .stream = 0});
    const auto found = train::not_finite(plan, views);
    REQUIRE(found.size() == 1);
    CHECK(found.front().node->id == "augment.dimmed");
    CHECK(found.front().name == "dim");
}

TEST_CASE("a component that keeps something that is not registered is named") {
    CHECK_THAT(
        check_refusal("networks.student.heads.scale.fault=forgets"),
        Contains("head 'scale' of plugin scale") &&
            Contains("output 'scaled': found another one after its state was saved and loaded, expected the "
                     "same; it keeps something that is not registered: register_module()"));
    // Its weights are drawn anew with each seed, and nobody saves them.
    CHECK_THAT(check_refusal("networks.student.heads.scale.fault=unregistered"),
               Contains("found another one after its state was saved and loaded"));
}
