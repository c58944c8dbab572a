// The command: `hearth plugins test` as an author of a plugin runs it.
#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

const std::string linear = HEARTH_TEST_BINARY_DIR "/lib/hearth/plugins/libhearth_head_linear.so";
const std::string racing_library = HEARTH_TEST_PLUGINS "/racing/libhearth_augment_racing.so";
const std::string unruly_library = HEARTH_TEST_PLUGINS "/unruly/libhearth_head_unruly.so";

}  // namespace

TEST_CASE("plugins test prints a table, JSON, and the cases there are") {
    const Sandbox sandbox;
    const auto table =
        sandbox.run({"plugins", "test", linear, "out=3", "--case", "schema", "--case", "outputs"});
    INFO(table.err);
    CHECK(table.code == 0);
    CHECK_THAT(table.out, StartsWith("case     result") && Contains("outputs  passed") &&
                              Contains("2 passed, 0 failed, 0 skipped"));
    const auto json =
        sandbox.run({"plugins", "test", linear, "--case", "halves", "--case", "schema", "--json"}).json();
    CHECK(json["passed"] == 1);
    CHECK(json["results"].size() == 1);  // a head has no halves
    CHECK_THAT(sandbox.run({"plugins", "test", "--list"}).out,
               Contains("gradients") && Contains("finite differences"));
}

TEST_CASE("plugins test ends with 4 where a case fails, and the command it gives fails alike") {
    const Sandbox sandbox;
    const auto failed = sandbox.run(
        {"plugins", "test", unruly_library, "head/unruly", "fault=split", "--case", "split", "--seed", "7"});
    CHECK(failed.code == 4);
    CHECK_THAT(failed.out, Contains("head/unruly: split failed\n") &&
                               Contains(unruly_library + " head/unruly --case split --seed 7 'fault=split'\n"));
    CHECK_THAT(failed.err, Contains("1 case failed of 1"));
}

TEST_CASE("plugins test --tsan finds a race that no result shows") {
    const Sandbox sandbox;
    const auto refused = sandbox.run({"plugins", "test", linear, "--tsan"});
    CHECK(refused.code == 4);
    CHECK_THAT(refused.err, Contains("libhearth_head_linear.so: found a library that was built without") &&
                                Contains("-fsanitize=thread"));
    if (!std::filesystem::exists(racing_library)) {
        WARN("skipped: it was not built, which takes GCC");
        return;
    }
    CHECK_THAT(sandbox.run({"plugins", "test", racing_library}).err, Contains("plugins test FILE --tsan"));
    const auto run = [&](const std::string& option) {
        return sandbox.run({"plugins", "test", racing_library, option, "--tsan"});
    };
    const auto racing = run("safe=false");
    CHECK(racing.code == 4);
    CHECK_THAT(racing.out, Contains("augment/racing: threads failed") &&
                               Contains("ThreadSanitizer: data race") && Contains("racing.cpp") &&
                               Contains("--case threads") && Contains("--tsan"));
    const auto safe = run("safe=true");
    INFO(safe.out << safe.err);
    CHECK(safe.code == 0);
    CHECK_THAT(safe.out, Contains("1 passed, 0 failed, 0 skipped"));
}

TEST_CASE("what plugins test is asked wrongly is a usage error with the nearest name") {
    const Sandbox sandbox;
    const auto refused = [&](std::vector<std::string> words, const std::string& expected) {
        words.insert(words.begin(), {"plugins", "test"});
        const auto outcome = sandbox.run(words);
        CHECK(outcome.code == 2);
        CHECK_THAT(outcome.err, Contains(expected));
    };
    refused({}, "found no file, expected a plugin's library");
    refused({linear, "lineer"}, "there is no component 'lineer'");
    refused({linear, "--case", "gradient"}, "did you mean 'gradients'?");
    refused({linear, "ot=3"}, "ot: unknown key");
    refused({linear, "--symbol", "D"}, "found 'D', expected --symbol");
    refused({linear, "--settings", "none.toml"}, "found no such file");
    refused({linear, "--device", "cpu"}, "found --device, which `hearth plugins test` does not obey");
    sandbox.folder.write("other.toml", "[vit]\n");
    refused({linear, "--settings", "other.toml"}, "found settings of 'vit'");
    CHECK(sandbox.run({"plugins", "test", "none.so"}).code == 4);
}
