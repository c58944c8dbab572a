// Faults: each case finds what it is for, and says it; a component that keeps its promises passes all.
#include <catch2/catch.hpp>

#include "conformance/cases.hpp"
#include "conformance/suite.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::conformance;
using Catch::Matchers::Contains;

namespace {

const std::filesystem::path unruly = HEARTH_TEST_PLUGINS "/unruly/libhearth_head_unruly.so";

/// The results of one component of the unruly plugin with a fault.
std::vector<Result> tested(Kind kind, const std::string& fault, const std::vector<std::string>& cases,
                           double seconds = 60) {
    std::vector<Tested> chosen;
    for (auto component : components_of(unruly, {1, 60})) {
        if (component.kind != kind) continue;
        set_option(component.settings, "fault=" + fault);
        chosen.push_back(component);
    }
    REQUIRE(chosen.size() == 1);
    return run_suite(chosen, {cases, 3, ""}, {2, seconds});
}

struct Fault {
    Kind kind;
    const char *name, *found_by, *text;
};

}  // namespace

TEST_CASE("a plugin without a fault passes every case that applies to it") {
    for (const auto kind : {Kind::head, Kind::augment, Kind::loss})
        for (const auto& result : tested(kind, "none", {})) {
            INFO(result.component << " " << result.name << ": " << result.text);
            CHECK(result.verdict != Verdict::failed);
            if (result.verdict == Verdict::skipped) CHECK_FALSE(result.text.empty());
        }
}

TEST_CASE("each fault is found by its case, in words that name it") {
    for (const auto& fault : std::vector<Fault>{
             {Kind::head, "creates", "outputs", "create: no head today"},
             {Kind::head, "options", "options", "create: only four"},
             {Kind::head, "mutates", "inputs", "an input was changed: tokens: found"},
             {Kind::head, "state", "state", "register_module(), register_parameter() or register_buffer() it"},
             {Kind::head, "evaluates", "repeat", "evaluation changes a parameter or buffer: calls"},
             {Kind::head, "gradient", "gradients", "gradient of the parameters: found"},
             {Kind::head, "split", "split", "half of a batch in evaluation: louder"},
             {Kind::head, "order", "order", "with the samples in another order: louder"},
             {Kind::head, "shape", "outputs",
              "output 'louder': found [4, 16], expected [4, 16, 16] ('B 16 16')"},
             {Kind::head, "type", "outputs", "output 'louder': found int64, expected float32"},
             {Kind::head, "undefined", "outputs", "output 'louder': found an undefined tensor"},
             {Kind::head, "missing", "outputs", "output 'louder': found none of that name, expected 'B 16 16'"},
             {Kind::head, "undeclared", "outputs", "output 'more': found an output that is not declared"},
             {Kind::head, "bf16", "bf16", "values that are not finite"},
             {Kind::head, "value", "meta", "head 'unruly': forward: "},
             {Kind::head, "throws", "outputs", "threw a value of type int"},
             {Kind::augment, "rand", "key", "draw from `random` alone"},
             {Kind::augment, "counts", "key", "for the same key again"},
             {Kind::augment, "threads", "threads", "where four threads call sample() at once"},
             {Kind::augment, "batch", "outputs",
              "output 'view': found [1, 1, 32, 32], expected [1, 32, 32] ('1 32 32')"},
             {Kind::loss, "empty", "masks", "total: found 1 of 1 values that are not finite with mask all 0"},
             {Kind::loss, "vector", "outputs", "total: found [4], expected a scalar"},
             {Kind::loss, "per_sample", "outputs", "output 'per_sample': found [4, 16], expected [4] ('B')"},
             {Kind::loss, "sums", "processes", "two processes with half of the batch each: total"}}) {
        INFO(fault.name);
        const auto results = tested(fault.kind, fault.name, {fault.found_by});
        REQUIRE(results.size() == 1);
        CHECK(results[0].verdict == Verdict::failed);
        CHECK_THAT(results[0].text, Contains(fault.text));
        CHECK_THAT(results[0].again, Contains(std::string("libhearth_head_unruly.so ") + to_string(fault.kind) +
                                              "/unruly --case " + fault.found_by + " --seed 3"));
    }
}

TEST_CASE("a component that ends its process is a result like any other") {
    CHECK_THAT(tested(Kind::head, "crash", {"outputs"})[0].text, Contains("died of signal 11"));
    CHECK_THAT(tested(Kind::head, "abort", {"outputs"})[0].text, Contains("died of signal 6"));
    CHECK_THAT(tested(Kind::head, "exit", {"outputs"})[0].text, Contains("ended its process with code 0"));
    CHECK_THAT(tested(Kind::head, "hang", {"outputs"}, 1)[0].text, Contains("did not end within 1 s"));
    const auto results = tested(Kind::head, "crash", {"schema", "outputs", "hooks"});
    REQUIRE(results.size() == 3);
    CHECK(results[0].verdict == Verdict::passed);
    CHECK(results[2].verdict == Verdict::failed);
}

TEST_CASE("results are a table of 80 columns, with the command of each failure") {
    auto results = tested(Kind::head, "shape", {"schema", "outputs", "second"});
    const auto one = results_text(results, 80);
    CHECK_THAT(
        one, Contains("outputs  failed") && Contains("head/unruly: outputs failed\n  output 'louder': found"));
    CHECK_THAT(one, Contains("  hearth plugins test ") && Contains("2 passed, 1 failed, 0 skipped\n"));
    results.push_back({"loss/gain", "create", Verdict::passed, "", "", 0});
    const auto several = results_text(results, 80);
    CHECK_THAT(several, Contains("component    passed  failed  skipped  what failed"));
    CHECK_THAT(several, Contains("head/unruly       2       1        0  outputs"));
    const auto json = results_json(results);
    CHECK(json["failed"] == 1);
    CHECK(json["results"][1]["case"] == "outputs");
    CHECK(json["results"][1]["result"] == "failed");
}

TEST_CASE("a library that cannot be loaded is refused with the reason") {
    CHECK_THROWS_WITH(components_of("nothing.so", {1, 30}), Contains("nothing.so: found no such file"));
    CHECK_THROWS_AS(components_of(HEARTH_TEST_PLUGINS "/no_symbol/libhearth_head_x.so", {1, 30}), PluginError);
}

TEST_CASE("options and sizes that do not fit are the user's mistake, before any case runs") {
    auto components = components_of(unruly, {1, 60});
    std::erase_if(components, [](const Tested& one) { return one.kind != Kind::head; });
    auto& settings = components[0].settings;
    set_option(settings, "widht=3");
    CHECK_THROWS_WITH(run_suite(components, {}, {1, 60}),
                      Contains("widht: unknown key") && Contains("'width'"));
    settings = {};
    set_option(settings, "width=100");
    CHECK_THROWS_WITH(run_suite(components, {}, {1, 60}), Contains("found 100, expected between 1 and 64"));
    settings = {};
    set_symbol(settings, "Q=3");
    CHECK_THROWS_WITH(run_suite(components, {}, {1, 60}),
                      Contains("the symbol Q, expected a symbol of its reads"));
}
