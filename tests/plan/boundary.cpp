// What components return is held to what they declared, where it enters the plan.
#include "plan/boundary.hpp"

#include <cmath>
#include <cstdlib>
#include <hearth/mixed_precision.hpp>

#include "plan/support.hpp"
#include "plan/tensor_text.hpp"
#include "plan/trace.hpp"
#include "plan/untouched.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;
using plan::Boundary;

namespace {

/// The plugins of this build, and those that fail when they are told to.
const host::Registry& with_faulty() {
    static const host::Registry loaded = [] {
        const std::filesystem::path negative(HEARTH_TEST_PLUGINS);
        host::Registry made;
        made.scan({{std::filesystem::path(HEARTH_TEST_BINARY_DIR) / "lib/hearth/plugins", "test"},
                   {negative / "good", "test"},
                   {negative / "faulty", "test"}});
        return made;
    }();
    return loaded;
}

/// A view, a backbone, a head and a loss: of 32 x 32 pixels 16 tokens of width 48.
const std::string four_parts = R"(schema = 1
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
reads = { rows = "student.scaled" }
)";

struct Steps {
    Attempt attempt;
    recipe::Recipe recipe;
    plan::Plan plan;

    explicit Steps(const std::vector<std::string>& overrides)
        : recipe((attempt.file("a.toml", four_parts), attempt.load(overrides))),
          plan(plan::Plan::build(recipe, with_faulty())) {}
    plan::StepOutput step(const Context& context = {}) { return plan.step(batch(plan, 32), context); }
    /// What a step is refused with.
    std::string refusal() {
        return attempt.shortened(message_of<PluginError>([&] { step(); }));
    }
};

std::string refused(const std::string& override_text) {
    return Steps({override_text}).refusal();
}
std::string refused_head(const std::string& fault) {
    return refused("networks.student.heads.scale.fault=\"" + fault + "\"");
}
std::string refused_loss(const std::string& fault) {
    return refused("loss.rows.fault=\"" + fault + "\"");
}
std::string refused_view(const std::string& fault) {
    return refused("augment.dimmed.fault=\"" + fault + "\"");
}

/// "head 'scale' of plugin scale 1.2.3 (FILE): forward: ".
std::string by_head() {
    return with_faulty().find(Kind::head, "scale").place() + ": forward: ";
}

const Ports one_read = {Port("x", "B N D", "rows")};

Boundary boundary_of(const Ports& writes, Boundary::Of of = Boundary::Of::batch) {
    Symbols symbols;
    symbols.bind("B", Dim("B"));
    symbols.bind("N", Dim("N"));
    symbols.bind("D", 4);
    return {one_read, writes, symbols, of};
}

const Tensors two_of_three{{"x", at::zeros({2, 3, 4})}};

}  // namespace

TEST_CASE("what is as it was declared is no problem") {
    const auto boundary = boundary_of({Port("y", "B N 4", "rows"), Port("z", "B K", "more").maybe()});
    CHECK(boundary.problem(two_of_three, {{"y", at::ones({2, 3, 4})}}, {}) == "");
    CHECK(boundary.problem(two_of_three, {{"y", at::ones({2, 3, 4})}, {"z", at::ones({2, 7})}}, {}) == "");
}

TEST_CASE("a size that nobody knew is the same wherever it occurs in a call") {
    const auto boundary = boundary_of({Port("y", "B K", "one"), Port("z", "B K N", "another")});
    const auto found = [&](const at::Tensor& y, const at::Tensor& z) {
        return boundary.problem(two_of_three, {{"y", y}, {"z", z}}, {});
    };
    CHECK(found(at::ones({2, 7}), at::ones({2, 7, 3})) == "");
    CHECK(found(at::ones({2, 7}), at::ones({2, 6, 3})) ==
          "output 'z': found [2, 6, 3], expected [2, 7, 3] ('B K N')");
    CHECK(found(at::ones({3, 7}), at::ones({2, 7, 3})) == "output 'y': found [3, 7], expected [2, K] ('B K')");
    CHECK(found(at::ones({2, 7}), at::ones({2, 7, 4})) ==
          "output 'z': found [2, 7, 4], expected [2, 7, 3] ('B K N')");
}

TEST_CASE("a symbol that got another's name is the same size still") {
    Symbols symbols;
    symbols.bind("L", Dim("N"));
    const Boundary boundary({Port("x", "B L D", "rows")}, {Port("y", "B N", "a number of each")}, symbols);
    CHECK(boundary.problem(two_of_three, {{"y", at::ones({2, 3})}}, {}) == "");
    CHECK_THAT(boundary.problem(two_of_three, {{"y", at::ones({2, 2})}}, {}),
               Contains("found [2, 2], expected [2, 3] ('B N')"));
}

TEST_CASE("inputs of which two sizes should be one are named") {
    const Boundary boundary({Port("x", "B N D", "rows"), Port("keep", "B N", "which")}, {}, {});
    CHECK(boundary.problem({{"x", at::ones({2, 3, 4})}, {"keep", at::ones({2, 5})}}, Tensors{}, {}) ==
          "input 'keep': found [2, 5], expected [2, 3] ('B N'), as in what else it reads");
}

TEST_CASE("an image of another size than planned takes its outputs along") {
    Symbols symbols;
    symbols.bind("H", 32);
    const Boundary boundary({Port("image", "B H", "column")}, {Port("tokens", "B 4", "a token for 8 pixels")},
                            symbols);
    const auto of = [&](std::int64_t height, std::int64_t tokens) {
        return boundary.problem({{"image", at::ones({2, height})}}, {{"tokens", at::ones({2, tokens})}}, {});
    };
    CHECK(of(32, 4) == "");
    CHECK(of(64, 8) == "");
    CHECK_THAT(of(32, 8), Contains("expected [2, 4]"));
}

TEST_CASE("a call that lacks a read of the plan may have outputs of other sizes") {
    Symbols symbols;
    symbols.bind("L", 16);
    symbols.bind("N", 4);
    const Boundary boundary({Port("patches", "B L", "all"), Port("keep", "B N", "which").maybe()},
                            {Port("tokens", "B 4", "of those that are kept")}, symbols);
    const Tensors all{{"patches", at::ones({2, 16})}},
        kept{{"patches", at::ones({2, 16})}, {"keep", at::ones({2, 4})}};
    CHECK(boundary.problem(all, {{"tokens", at::ones({2, 16})}}, {}) == "");
    CHECK_THAT(boundary.problem(kept, {{"tokens", at::ones({2, 16})}}, {}), Contains("expected [2, 4]"));
    CHECK_THAT(boundary.problem(all, {{"tokens", at::ones({3, 16})}}, {}),
               Contains("found [3, 16], expected [2, 4]"));
}

TEST_CASE("one sample has no batch axis") {
    const auto boundary =
        boundary_of({Port("pair", "2 B N", "two"), Port("one", "B", "a number")}, Boundary::Of::sample);
    const Tensors in{{"x", at::ones({3, 4})}};
    CHECK(boundary.problem(in, {{"pair", at::ones({2, 3})}, {"one", at::scalar_tensor(1)}}, {}) == "");
    CHECK_THAT(boundary.problem(in, {{"pair", at::ones({2, 1, 3})}, {"one", at::scalar_tensor(1)}}, {}),
               Contains("output 'pair': found [2, 1, 3], expected [2, 3] ('2 N')"));
}

TEST_CASE("types are those that were declared, floats those of mixed precision too") {
    const auto boundary = boundary_of({Port("y", "B", "float"), Port("i", "B", "index").of("int64").maybe(),
                                       Port("b", "B", "flag").of("bool").maybe()});
    const auto of = [&](const char* name, at::ScalarType type, std::optional<at::ScalarType> mixed = {}) {
        Tensors out{{"y", at::ones({2})}};
        out.set(name, at::ones({2}).to(type));
        return boundary.problem(two_of_three, out, {.mixed = mixed});
    };
    CHECK(of("y", at::kBFloat16, at::kBFloat16) == "");
    CHECK_THAT(of("y", at::kBFloat16), Contains("output 'y': found bfloat16, expected float32; convert it"));
    CHECK_THAT(of("y", at::kDouble, at::kBFloat16), Contains("found float64, expected float32 or bfloat16"));
    CHECK(of("i", at::kLong) == "");
    CHECK_THAT(of("i", at::kInt), Contains("output 'i': found int32, expected int64"));
    CHECK(of("b", at::kBool) == "");
    CHECK_THAT(of("b", at::kByte), Contains("output 'b': found uint8, expected bool"));
}

TEST_CASE("what nobody wants may be left out, what somebody reads may not") {
    const auto boundary = boundary_of({Port("y", "B", "one"), Port("z", "B", "may go unread").maybe()});
    const std::set<std::string> only_z = {"z"}, none;
    const Tensors y{{"y", at::ones({2})}};
    CHECK_THAT(boundary.problem(two_of_three, Tensors{}, {}),
               Contains("output 'y': found none of that name, expected 'B', as declared"));
    CHECK(boundary.problem(two_of_three, Tensors{}, {.wanted = &none}) == "");
    CHECK_THAT(boundary.problem(two_of_three, y, {.wanted = &only_z}),
               Contains("output 'z': found none of that name but y"));
    CHECK_THAT(boundary.problem(two_of_three, y, {.needed = &only_z}), Contains("output 'z'"));
}

TEST_CASE("a name with control characters is written out") {
    const auto boundary = boundary_of({Port("y", "B", "one")});
    CHECK_THAT(boundary.problem(two_of_three, {{"y", at::ones({2})}, {"\x1b[31mz", at::ones({2})}}, {}),
               Contains("output '\\x1B[31mz': found an output that is not declared, expected one of: y"));
}

TEST_CASE("an input that was changed in place is noticed, also of a tensor that shares its memory") {
    const Tensors in{{"a", at::ones({2})}, {"b", at::ones({2})}};
    const plan::Untouched whole(in);
    CHECK(whole.changed() == nullptr);
    in["b"].detach().add_(1);
    REQUIRE(whole.changed() != nullptr);
    CHECK(*whole.changed() == "b");
}

TEST_CASE("inputs of inference mode, of which nobody counts the changes, are let be") {
    const c10::InferenceMode inference;
    const Tensors in{{"a", at::ones({2})}};
    const plan::Untouched whole(in);
    in["a"].add_(1);
    CHECK(whole.changed() == nullptr);
}

TEST_CASE("components that do as they declared are stepped, in mixed precision too") {
    Steps good({});
    const auto out = good.step();
    CHECK(out.total.requires_grad());
    CHECK(plan::sizes_text(out.tensors["loss.rows.per_sample"]) == "[2]");
    const MixedPrecision mixed(c10::kCPU, true);
    CHECK(good.step().total.defined());
    const at::NoGradGuard no_grad;
    CHECK(good.step().total.defined());
}

TEST_CASE("an output that is not what was declared is its writer's fault") {
    const auto rank = refused_head("rank");
    CHECK(rank == "a.toml:9:7: student.scale: " + by_head() +
                      "output 'scaled': found [2, 16], expected [2, 16, 48] ('B 16 48')");
    CHECK_THAT(refused_head("size"), Contains("output 'scaled': found [2, 16, 47], expected [2, 16, 48]"));
    CHECK_THAT(refused_head("batch"), Contains("output 'scaled': found [1, 16, 48], expected [2, 16, 48]"));
    CHECK_THAT(refused_head("type"), Contains("output 'scaled': found float64, expected float32"));
    CHECK_THAT(refused_head("device"),
               Contains("output 'scaled': found on meta, expected on cpu, where its inputs are"));
    CHECK_THAT(refused_head("missing"), Contains(by_head() + "output 'scaled': found none of that name"));
    CHECK_THAT(refused_head("undefined"), Contains("output 'scaled': found an undefined tensor"));
    CHECK_THAT(
        refused_head("undeclared"),
        Contains("output 'scalde': found an output that is not declared, expected one of: scaled (did you "
                 "mean 'scaled'?)"));
    CHECK_THAT(refused_head("in place"), Contains(by_head() + "input 'tokens': found it changed in place"));
}

TEST_CASE("a loss gives a scalar with a gradient, and a value of each image where it says so") {
    CHECK_THAT(refused_loss("undefined"),
               Contains("a.toml:13:1: loss.rows: loss 'rows' of plugin faulty 1.2.3 (") &&
                   Contains("): forward: total: found an undefined tensor"));
    CHECK_THAT(refused_loss("vector"),
               Contains("total: found [2], expected a scalar; take its mean() or sum()"));
    CHECK_THAT(refused_loss("integer"), Contains("total: found int64, expected float32"));
    CHECK_THAT(refused_loss("double"), Contains("total: found float64, expected float32"));
    CHECK_THAT(refused_loss("detached"),
               Contains("total: found no gradient, expected one, since it reads 'rows', which has one"));
    CHECK_THAT(refused_loss("per sample"), Contains("output 'per_sample': found [2, 1], expected [2] ('B')"));
    CHECK_THAT(refused_loss("term"), Contains("term 'rows': found [2], expected one number"));
}

TEST_CASE("a view is held to its declaration, sample by sample") {
    CHECK_THAT(refused_view("size"),
               Contains("a.toml:5:1: augment.dimmed: augment 'dimmed' of plugin faulty") &&
                   Contains("sample: output 'dim': found [1, 16, 32], expected [1, 32, 32] "
                            "('1 32 32')"));
    CHECK_THAT(refused_view("type"), Contains("sample: output 'dim': found float64, expected float32"));
    CHECK_THAT(refused_view("missing"), Contains("sample: output 'dim': found none of that name but cut"));
    CHECK_THAT(refused_view("undeclared"), Contains("output 'dimm': found an output that is not declared"));
    CHECK_THAT(refused_view("in place"), Contains("sample: input 'image': found it changed in place"));
}

TEST_CASE("features of a backbone are held to what it declared as well") {
    Steps good({});
    const auto out = good.plan.features("student", at::rand({3, 1, 32, 32}), {});
    CHECK(plan::sizes_text(out["tokens"]) == "[3, 16, 48]");
}

TEST_CASE("a trace tells shape, type, device and values of a tensor") {
    CHECK(plan::trace_text(at::full({2, 3}, 0.5)) == "[2, 3] float32 cpu mean 0.5 deviation 0 nan 0 inf 0");
    const auto odd = at::tensor({1.0, 3.0, std::nan(""), HUGE_VAL}, at::kDouble);
    CHECK(plan::trace_text(odd) == "[4] float64 cpu mean 2 deviation 1 nan 1 inf 1");
    CHECK(plan::trace_text(at::full({}, true)) == "[] bool cpu mean 1 deviation 0 nan 0 inf 0");
    CHECK(plan::trace_text(at::empty({0})) == "[0] float32 cpu nan 0 inf 0");
    CHECK(plan::trace_text(at::empty({2}, at::kMeta)) == "[2] float32 meta");
    CHECK(plan::trace_text({}) == "undefined");
}

TEST_CASE("HEARTH_TRACE is 1 or 0") {
    setenv("HEARTH_TRACE", "yes", 1);
    const auto message = message_of<RecipeError>([] { plan::trace_of_environment(); });
    CHECK_THAT(message, Contains("HEARTH_TRACE: found \"yes\", expected 1"));
    setenv("HEARTH_TRACE", "1", 1);
    CHECK(plan::trace_of_environment() != nullptr);
    unsetenv("HEARTH_TRACE");
    CHECK(plan::trace_of_environment() == nullptr);
}
