// Probes as a user asks for them: in a recipe, of a finished run, in tables; and what is refused before a run
// trains.
#include <sstream>

#include "cli/trained_box.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

/// A copy of the trained run, and sixty films with a second label: every third is "odd", every tenth not known.
struct ProbeBox : Sandbox {
    ProbeBox() {
        fs::copy(TrainedBox::once().folder / "run", folder / "run", fs::copy_options::recursive);
        REQUIRE(
            run({"data", "phantom", "--out", "films", "-n", "60", "--size", "32", "--lesions", "0.5"}).code ==
            0);
        std::istringstream rows(folder.read("films/manifest.csv"));
        std::string table, line;
        for (int i = -1; std::getline(rows, line); ++i)
            table += line + "," + (i < 0 ? "odd" : i % 10 == 0 ? "" : i % 3 == 0 ? "1" : "0") + "\n";
        folder.write("films/two.csv", table);
    }
};

const std::vector<std::string> two_labels = {"eval.source=films/two.csv", "eval.label=abnormal, odd",
                                             "eval.positive=\"\"", "eval.negative=\"\""};

std::vector<std::string> words(std::vector<std::string> first, const std::vector<std::string>& more) {
    first.insert(first.end(), more.begin(), more.end());
    return first;
}

}  // namespace

TEST_CASE("what [eval] cannot have is refused before a run folder is made") {
    const Sandbox sandbox;
    for (const auto& [word, found] : std::vector<std::pair<std::string, std::string>>{
             {"eval.probe=atentive",
              "expected one or more of linear, knn, attentive (did you mean 'attentive'?)"},
             {"eval.network=techer", "expected one of student, teacher (did you mean 'teacher'?)"},
             {"eval.size=36", "no features of 'student' can be read from images of 36 x 36"},
             {"eval.label=abnromal",
              "argument 'eval.label=abnromal': label: found no column 'abnromal', expected one of path, "
              "patient, "
              "label, abnormal, split (did you mean 'abnormal'?)"},
             {"eval.positive=2", "argument 'eval.positive=2': found no image of class '2'"},
             {"eval.test_where=split == \"nothing\"", "nothing"},
             {"eval.head=student.logits", "'student.logits' has shape [B, 16, 8], expected [B, 2]"},
             {"eval.head=student.logit", "did you mean 'student.logits'?"}}) {
        INFO(word);
        const auto outcome = sandbox.run({"train", "tiny.toml", "--out", "run", word});
        CHECK(outcome.code != 0);
        CHECK_THAT(outcome.err, Contains(found));
        CHECK_FALSE(fs::exists(sandbox.folder / "run"));
    }
    const auto planned = sandbox.run({"plan", "tiny.toml", "eval.size=36"});
    CHECK(planned.code != 0);
    CHECK_THAT(planned.err, Contains("argument 'eval.size=36': no features of 'student'"));
}

TEST_CASE("a finished run is probed attentively, and by its follower's features") {
    const ProbeBox box;
    const std::vector<std::string> probe = {"probe", "run", "eval.probe=attentive", "eval.network=teacher",
                                            "--out", "run"};
    const auto text = box.run(probe);
    INFO(text.err);
    REQUIRE(text.code == 0);
    CHECK_THAT(text.out, Contains("attentive probe") && Contains("patch tokens of 'teacher'") &&
                             Contains("trained - untrained"));
    CHECK(text.out.find("k-NN") == std::string::npos);
    CHECK_THAT(text.err, Contains("attentive probe: choosing the learning rate, step 0 of 500"));
    const auto quiet = box.run(words(probe, {"--quiet"}));
    CHECK(quiet.err.empty());
    CHECK(quiet.out == text.out);  // the same numbers

    CHECK_THAT(box.run({"runs", "list", "."}).out, Contains("attentive.auc"));
    REQUIRE(box.run({"report", "run"}).code == 0);
    CHECK_THAT(box.folder.read("run/report.html"),
               Contains("AUC, attentive probe") && Contains("ROC, attentive probe"));
}

TEST_CASE("a run whose [data] names a column of patients that is not there is probed as the message says") {
    const ProbeBox box;
    auto resolved = box.folder.read("run/resolved.toml");
    const auto at = resolved.find("[data]\n");
    REQUIRE(at != std::string::npos);
    box.folder.write("run/resolved.toml", resolved.insert(at + 7, "patient = \"patientt\"\n"));
    const auto refused = box.run({"probe", "run"});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err,
               Contains("data.patient: found no column 'patientt'") &&
                   Contains("give data.patient=COLUMN, or data.patient= for none, to hearth probe"));
    CHECK(box.run({"probe", "run", "data.patient="}).code == 0);
    CHECK(box.run({"probe", "run", "data.patient=patient"}).code == 0);
    CHECK_THAT(box.run({"probe", "run", "data.fraction=0.5"}).err,
               Contains("is not read again of a finished run"));
}

TEST_CASE("rows of a [probe] that is asked for later did not choose `best`") {
    const ProbeBox box;  // its run had probe.every = 0
    box.folder.write("asked.toml",
                     "[probe]\nevery = 1\nsource = \"films/manifest.csv\"\n[eval]\nsource = "
                     "\"films/manifest.csv\"\n");
    const auto outcome = box.run({"probe", "run", "--with", "asked.toml"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains("Predicted: abnormal = 1.") && !Contains("flatters"));
}

TEST_CASE("several labels are probed, tabulated and compared") {
    const ProbeBox box;
    const auto text = box.run(words({"probe", "run", "--out", "run"}, two_labels));
    INFO(text.err);
    REQUIRE(text.code == 0);
    CHECK_THAT(text.out, Contains("Each label") && Contains("2 labels, each by itself") && Contains("odd") &&
                             Contains("linear probe") && Contains("k-NN") && Contains("untrained"));
    REQUIRE(box.run({"report", "run"}).code == 0);
    CHECK_THAT(box.folder.read("run/report.html"), Contains("AUC of each label, linear probe"));

    fs::copy(box.folder / "run", box.folder / "other", fs::copy_options::recursive);
    const auto compared = box.run({"compare", "run", "other", "--json"});
    INFO(compared.err);
    REQUIRE(compared.code == 0);
    const auto listed = box.run({"runs", "list", ".", "--json"}).json();
    CHECK(listed["runs"].size() == 2);
    CHECK_THAT(box.run({"compare", "run", "other"}).out, Contains("odd") && Contains("macro"));
}

TEST_CASE("a recipe with several labels trains, probes on the way and evaluates") {
    const ProbeBox box;
    auto arguments = words({"train", "tiny.toml", "--out", "two", "eval.limit=40"}, two_labels);
    for (const auto& word : two_labels) arguments.push_back("probe" + word.substr(4));
    arguments.emplace_back("probe.every=1");
    const auto outcome = box.run(arguments);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("probe after epoch 1:") && Contains("knn_auc"));
    CHECK_THAT(outcome.out, Contains("Each label"));
}

TEST_CASE("a sweep's table has the probes that its runs were evaluated by") {
    const Sandbox sandbox;
    const auto outcome =
        sandbox.run({"sweep", "tiny.toml", "eval.probe=attentive", "probe.every=0", "--out", "out"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const auto table = sandbox.folder.read("out/sweep.md");
    CHECK_THAT(table, Contains("attentive AUC") && Contains("attentive, untrained"));
    CHECK(table.find("linear") == std::string::npos);
    CHECK_THAT(sandbox.folder.read("out/sweep.csv"), Contains(",attentive,pixels,"));
}

TEST_CASE("a network that is not there is named with those that are") {
    const ProbeBox box;
    const auto embedded = box.run({"embed", "run", "films/manifest.csv", "--network", "techer", "-o", "f.csv"});
    CHECK(embedded.code == 2);
    CHECK_THAT(embedded.err,
               Contains("--network: found no network 'techer' with a backbone, expected one of student, "
                        "teacher (did you mean 'teacher'?)"));
    const auto exported = box.run({"export", "run", "--format", "hearth", "--network", "techer"});
    CHECK(exported.code == 2);
    CHECK_THAT(exported.err, Contains("did you mean 'teacher'?"));
}
