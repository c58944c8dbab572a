// hearth compare: AUCs with p values on shared test rows, recipes side by side, and runs that do not compare.
#include <algorithm>

#include "cli/made_run.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

struct CompareBox : Sandbox {
    CompareBox() {
        make_run(folder, "a", {.seed = 1});
        make_run(folder, "b", {.seed = 2, .epochs = 8, .shift = 0.6});
        make_run(folder, "c", {.seed = 3, .shift = 0.2});
        make_run(folder, "other-rows", {.seed = 4, .rows = 30});
    }
};

}  // namespace

TEST_CASE("two runs: AUCs, difference with interval, two p values, and what differs in the recipes") {
    const CompareBox box;
    const auto json = box.run({"compare", "a", "b", "--json"}).json();
    CHECK(json["first"] == "a");
    const auto& comparison = json["comparisons"][0];
    CHECK(comparison["comparable"] == true);
    REQUIRE(comparison["auc"].size() == 1);
    const auto& auc = comparison["auc"][0];
    CHECK(auc["positive"] == "abnormal");
    CHECK(auc["this"].get<double>() - auc["first"].get<double>() == Approx(auc["difference"].get<double>()));
    CHECK(auc["low"].get<double>() < auc["difference"].get<double>());
    CHECK(auc["p_delong"].get<double>() == auc["p_holm"].get<double>());  // one comparison: nothing to correct
    CHECK(comparison["recipe"] == nlohmann::json::parse(R"([{"key":"train.epochs","first":"4","this":"8"},
                                                            {"key":"train.seed","first":"1","this":"2"}])"));
    const auto text = box.run({"compare", "a", "b"});
    CHECK(text.code == 0);
    CHECK_THAT(text.out, Contains("p (DeLong)") && Contains("p (bootstrap)") && Contains("train.epochs") &&
                             !Contains("Holm"));
}

TEST_CASE("a run against itself does not differ") {
    const CompareBox box;
    const auto comparison = box.run({"compare", "a", "a", "--json"}).json()["comparisons"][0];
    CHECK(comparison["auc"][0]["p_delong"] == 1);
    CHECK(comparison["auc"][0]["difference"] == 0);
    CHECK(comparison["recipe"].empty());
    CHECK_THAT(box.run({"compare", "a", "a"}).out, Contains("No difference."));
}

TEST_CASE("several runs are compared with the first, with Holm's correction") {
    const CompareBox box;
    const auto json = box.run({"compare", "a", "b", "c", "--json"}).json();
    REQUIRE(json["comparisons"].size() == 2);
    std::vector<double> raw, corrected;
    for (const auto& comparison : json["comparisons"]) {
        raw.push_back(comparison["auc"][0]["p_delong"]);
        corrected.push_back(comparison["auc"][0]["p_holm"]);
    }
    const std::size_t least = raw[0] < raw[1] ? 0 : 1;
    CHECK(corrected[least] == Approx(std::min(1.0, 2 * raw[least])));
    CHECK(corrected[1 - least] == Approx(std::max(corrected[least], raw[1 - least])));
    auto text = box.run({"compare", "a", "b", "c"}).out;
    std::ranges::replace(text, '\n', ' ');  // a caption is wrapped
    CHECK_THAT(text, Contains("p (Holm)") && Contains("for 2 comparisons"));
}

TEST_CASE("other test rows are said and get no p value, the recipes are compared all the same") {
    const CompareBox box;
    const auto outcome = box.run({"compare", "a", "other-rows"});
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.out,
               Contains("other-rows: not compared, no p value: other test rows: 40 images against 30") &&
                   Contains("train.seed"));
    const auto comparison = box.run({"compare", "a", "other-rows", "--json"}).json()["comparisons"][0];
    CHECK(comparison["comparable"] == false);
    CHECK(comparison["auc"].empty());

    std::filesystem::remove(box.folder / "c/eval.json");
    CHECK_THAT(box.run({"compare", "a", "c"}).out, Contains("c has no eval.json: run `hearth probe` on it"));
}

TEST_CASE("long values of recipes are cut on the terminal, whole in Markdown and JSON") {
    const CompareBox box;
    const std::string note(200, 'n');
    box.folder.write("b/resolved.toml", "schema = 1\nname = \"mine\"\ndescription = \"" + note + "\"\n");
    CHECK_THAT(box.run({"compare", "a", "b"}).out, Contains("nnn..") && !Contains(note));
    REQUIRE(box.run({"compare", "a", "b", "-o", "long.md"}).code == 0);
    CHECK_THAT(box.folder.read("long.md"), Contains(note));
}

TEST_CASE("--out writes Markdown or CSV, and nothing else") {
    const CompareBox box;
    REQUIRE(box.run({"compare", "a", "b", "-o", "out.md"}).code == 0);
    CHECK_THAT(box.folder.read("out.md"), Contains("| run ") && Contains("| train.epochs "));
    REQUIRE(box.run({"compare", "a", "b", "--out", "out.csv"}).code == 0);
    const auto csv = box.folder.read("out.csv");
    CHECK_THAT(csv, Catch::Matchers::StartsWith("first,run,classifier,positive,auc_first") &&
                        Contains("\na,b,linear,abnormal,"));
    const auto refused = box.run({"compare", "a", "b", "--out", "out.xlsx"});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains("found 'out.xlsx', expected a file that ends in .md or .csv"));
    CHECK(box.run({"compare", "a"}).code == 2);
    CHECK(box.run({"compare", "a", "nowhere"}).code == 2);
}
