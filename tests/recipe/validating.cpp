// [validate]: rows that are neither trained nor tested on.
#include "recipe/support.hpp"

namespace recipe_validating {

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;

namespace {

const std::string text = test::smallest + R"([[loss]]
use = "restoration"
[validate]
where = 'split == "val"'
)";

Attempt& attempt() {
    static Attempt a;
    a.file("a.toml", text);
    return a;
}

}  // namespace

TEST_CASE("[validate] needs rows, and watches the total every epoch") {
    const auto validate = *attempt().load().validate;
    CHECK((validate.where == "split == \"val\"" && validate.every == 1 && validate.watch == "total"));
    CHECK((validate.best == "lowest" && validate.patience == 0 && !validate.overlap));
    CHECK(validate.section() == "data");
    CHECK_FALSE(Attempt().file("a.toml", test::smallest).load().validate);
    CHECK_THAT(Attempt().file("a.toml", test::smallest + "[validate]\n").error(),
               Contains("a.toml:6:1: validate.where: missing"));
    CHECK_THAT(attempt().error({"validate.where="}),
               Contains("validate.where: found \"\", expected which rows"));
}

TEST_CASE("a term, a probe or a detection may be watched, where it is measured") {
    const auto validate = *attempt()
                               .load({"validate.watch=restoration.mse", "validate.best=highest",
                                      "validate.every=2", "validate.patience=5"})
                               .validate;
    CHECK((validate.watch == "restoration.mse" && validate.best == "highest" && validate.every == 2));
    CHECK(validate.patience == 5);
    const auto by_probe =
        attempt().load({"validate.watch=probe.auc", "validate.best=highest", "probe.every=1"});
    CHECK(by_probe.validate->section() == "probe");
    CHECK_THAT(attempt().error({"validate.watch=probe.auc", "validate.best=highest"}),
               Contains("validate.watch: found \"probe.auc\" in a recipe without [probe], which measures it"));
    CHECK_THAT(Attempt().file("a.toml", test::smallest + "[validate]\nwhere = \"w\"\n").error(),
               Contains("validate.watch: found \"total\" in a recipe without [[loss]], whose total it is"));
    CHECK_THAT(attempt().error({"validate.watch=detect.auroc", "validate.best=highest"}),
               Contains("found \"detect.auroc\" in a recipe without [detect]"));
    CHECK_THAT(
        attempt().error({"validate.watch=restoratoin.mse"}),
        Contains("validate.watch: found \"restoratoin.mse\", expected one of total, detect.auroc, probe.auc, "
                 "restoration.TERM") &&
            Contains("(did you mean 'restoration"));
    CHECK_THAT(attempt().error({"validate.watch=restoration."}), Contains("found \"restoration.\""));
    CHECK_THAT(attempt().error({"validate.watch=totl"}), Contains("(did you mean 'total'?)"));
}

TEST_CASE("values of [validate] are checked") {
    CHECK_THAT(attempt().error({"validate.every=0"}), Contains("validate.every: found 0"));
    CHECK_THAT(attempt().error({"validate.patience=-1"}), Contains("validate.patience: found -1"));
    CHECK_THAT(attempt().error({"validate.best=least"}),
               Contains("validate.best: found \"least\", expected one of lowest, highest"));
    CHECK_THAT(attempt().error({"validate.watch=probe.auc", "probe.every=1"}),
               Contains("validate.best: found \"lowest\" with watch = \"probe.auc\", of which more is better"));
}

TEST_CASE("[validate] is of the stages that have what it watches") {
    Attempt a;
    const auto stages_of = [&](const std::string& watch) {
        a.file("a.toml", test::smallest +
                             "[[loss]]\nuse = \"x\"\n[[loss]]\nuse = \"y\"\n[[stage]]\nname = "
                             "\"one\"\ndrop.loss = \"y\"\n[[stage]]\nname = \"two\"\n[validate]\n"
                             "where = \"w\"\nwatch = \"" +
                             watch + "\"\n");
    };
    stages_of("y.mse");
    const auto parts = stages(a.load());
    CHECK((!parts[0].validate && parts[1].validate));
    stages_of("total");
    CHECK(stages(a.load())[0].validate);
    stages_of("z.mse");
    CHECK_THAT(a.error(),
               Contains("validate.watch: found \"z.mse\", expected one of total, detect.auroc, probe.auc, "
                        "x.TERM, y.TERM"));
}

}  // namespace recipe_validating
