// Test rows that were fitted on are refused, or said where the recipe asks for them.
#include "eval/probe/apart.hpp"

#include <cmath>

#include "eval/anomaly/images.hpp"
#include "eval/findings.hpp"
#include "eval/probe/evaluate.hpp"
#include "eval/probe/notes.hpp"
#include "support/detecting.hpp"

namespace eval_apart {

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

std::string refusal(const Findings& films) {
    return message_of<RecipeError>([&] { open_splits(films.recipe, *films.recipe.eval); });
}

}  // namespace

TEST_CASE("rows that a probe is fitted on are no test rows: counts, examples and what to write") {
    const auto message = refusal(Findings({"eval.train_where=", "eval.label=left"}));
    CHECK_THAT(message,
               Contains("recipe.toml:") &&
                   Contains("30 of 30 test images are known from the rows that the probe is fitted on: 30 "
                            "same files (") &&
                   Contains("000.png") && Contains("15 same patients (0, 3, 6, ..)") &&
                   Contains("divide them by patient, such as train_where = 'split == \"train\"' and "
                            "test_where = 'split == \"test\"'") &&
                   Contains("or write overlap = true in this section"));
}

TEST_CASE("a table without a split is told how to have one") {
    Findings films({"eval.train_where=left == 1 or top == 0", "eval.test_where=left == 0", "eval.label=top"});
    auto table = films.folder.read("films.csv");
    table.replace(table.find("split"), 5, "order");
    films.folder.write("films.csv", table);
    films.recipe.data.where = "";
    CHECK_THAT(refusal(films),
               Contains("films.csv has no column `split`: add one that holds train, val or test for "
                        "all films of a patient") &&
                   Contains("; or test all of its films in turn, by folds = 5, train_where = "));
    films.recipe.eval->test_where = "split == \"test\"";
    CHECK_THAT(refusal(films),
               Contains("argument 'eval.test_where=left == 0': test_where: unknown column 'split'") &&
                   Contains("films.csv has no column `split`: test all of its films in turn"));
}

TEST_CASE("patients on both sides are refused where no film is") {
    const Findings films({"eval.train_where=left == 1", "eval.test_where=left == 0", "eval.label=top"});
    const auto message = refusal(films);
    CHECK_THAT(message, Contains("45 of 45 test images") && Contains("45 same patients (0, 1, 2, ..)"));
    CHECK(message.find("same file") == std::string::npos);
}

TEST_CASE("a copy of a training film among the test films is refused") {
    const Findings films({"eval.label=left"});
    std::filesystem::copy_file(
        films.folder / "002.png", films.folder / "000.png",
        std::filesystem::copy_options::overwrite_existing);  // patient 1 trains, 0 is tested
    CHECK_THAT(refusal(films), Contains("1 of 30 test images") && Contains("1 file of the same content (") &&
                                   Contains("000.png like "));
}

TEST_CASE("images that the network learns labels of are refused, and without labels are said") {
    const auto apart = [](const std::vector<std::string>& more) {
        const Findings films(more);
        const auto splits = divide_rows(films.recipe, *films.recipe.eval);
        return expect_apart(films.recipe, *films.recipe.eval, splits.first, splits.second);
    };
    CHECK(apart({"eval.label=left"}).empty());
    CHECK_THROWS_WITH(apart({"eval.label=left", "data.where="}),
                      Contains("30 of 30 test images are known from the images of [data], which the network is "
                               "trained on: 30 same files"));
    const auto asked_for = apart({"eval.label=left", "data.where=", "eval.overlap=true"});
    REQUIRE(asked_for.size() == 1);
    CHECK_THAT(asked_for[0], Contains("30 of 30 test images are known from the images of [data]"));

    Findings films({"eval.label=left", "data.where="});
    films.recipe.data.label = "";  // a method that looks at no label
    const auto splits = open_splits(films.recipe, *films.recipe.eval);
    REQUIRE(splits.second.notes.size() == 1);
    CHECK_THAT(splits.second.notes[0], Contains("trained on without labels: 30 same files"));
}

TEST_CASE("the rows that choose a head's threshold are no test rows") {
    CHECK_THAT(refusal(Findings(
                   {"eval.label=left", "eval.head=student.logits", "eval.validation_where=split == \"test\""})),
               Contains("30 of 30 test images are known from the rows that the threshold is chosen on"));
}

TEST_CASE("data that are gone are no reason not to evaluate") {
    Findings films({"eval.label=left"});
    films.recipe.data.source = (films.folder / "gone.csv").string();
    const auto splits = open_splits(films.recipe, *films.recipe.eval);
    REQUIRE(splits.second.notes.size() == 1);
    CHECK_THAT(splits.second.notes[0],
               Contains("not compared with the images of [data], which cannot be opened"));
}

TEST_CASE("folds of a film that is there under two patients are refused") {
    const auto pool = [](bool twice) {
        Findings films(
            {"eval.folds=5", "eval.train_where=split == \"test\"", "eval.test_where=", "eval.label=left"});
        if (twice) films.folder.write("films.csv", films.folder.read("films.csv") + "000.png,99,test,0,0\n");
        const auto rows = open_pool(films.recipe, *films.recipe.eval);
        return expect_folds_apart(films.recipe, *films.recipe.eval, rows);
    };
    CHECK(pool(false).empty());
    CHECK_THROWS_WITH(pool(true),
                      Contains("1 of 31 images are there before under another patient: 1 same file (") &&
                          Contains("000.png") && Contains("patient = \"COLUMN\""));
}

TEST_CASE("`best` that is chosen on test rows is named, on validation rows it is not") {
    Findings films({"eval.label=left"});
    const auto& spec = *films.recipe.eval;
    const auto test = divide_rows(films.recipe, spec).second;
    CHECK(chosen_on_test(films.recipe, spec, *test.images).empty());  // there is no [probe]
    films.recipe.probe = films.recipe.eval;
    CHECK_THAT(
        chosen_on_test(films.recipe, spec, *test.images),
        Contains(
            "30 of 30 test images are known from the rows that [probe] chooses the checkpoint `best` on") &&
            Contains("let [probe] test on validation rows"));
    films.recipe.probe->every = 0;
    CHECK(chosen_on_test(films.recipe, spec, *test.images).empty());
    films.recipe.probe->every = 1;
    films.recipe.probe->test_where = "split == \"train\"";
    CHECK(chosen_on_test(films.recipe, spec, *test.images).empty());
}

TEST_CASE("test images of an unknown class are counted, an absent class leaves the AUC undefined") {
    Findings films({"eval.label=left"});
    auto table = films.folder.read("films.csv");
    for (const auto* row : {"000.png,0,test,0", "007.png,3,test,1"})  // patients 0 and 3 are tested
        table.replace(table.find(row) + std::string(row).size() - 1, 1, "7");
    films.folder.write("films.csv", table);
    const auto plan = films.built();
    const auto result = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    CHECK(result.test_images == 28);
    REQUIRE(result.notes.size() == 1);
    CHECK(result.notes[0] ==
          "2 of 30 test images are left out, being of a class that no training row has: 7 2");

    auto absent = *films.recipe.eval;
    absent.test_where = "split == \"test\" and left == 0";
    const auto undefined = evaluate(films.recipe, with_parts(), plan, absent, c10::kCPU);
    CHECK(std::isnan(find_score(undefined, "linear", "trained")->auc.value));
    REQUIRE(undefined.notes.size() == 1);
    CHECK(undefined.notes[0] == "no test image is of class '1', so there is no AUC");
    CHECK(to_json(evaluation_from_json(to_json(undefined))).dump() == to_json(undefined).dump());
}

TEST_CASE("an unreadable test film is left out and named, and the evaluation goes on without any") {
    const Findings films({"eval.label=left"});
    const auto plan = films.built();
    films.folder.write("000.png", "no film");
    const auto result = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    CHECK(result.test_images == 29);
    REQUIRE(result.notes.size() == 1);
    CHECK_THAT(result.notes[0],
               Contains("1 test image cannot be read and is left out: ") && Contains("000.png"));

    for (int i = 0; i < 90; ++i) films.folder.write(fmt::format("{:03}.png", i), fmt::format("no film {}", i));
    const auto nothing = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    CHECK(nothing.scores.empty());
    REQUIRE(nothing.notes.size() == 1);
    CHECK_THAT(nothing.notes[0], Contains("found no labelled, readable image"));
    for (int i = 0; i < 90; ++i) std::filesystem::remove(films.folder / fmt::format("{:03}.png", i));
    const auto gone = evaluate(films.recipe, with_parts(), plan, *films.recipe.eval, c10::kCPU);
    REQUIRE(gone.notes.size() == 1);
    CHECK_THAT(gone.notes[0], Contains("; found no file for 60 of 60 images, such as "));
}

TEST_CASE("test rows that name one film twice are said") {
    const Findings films({"eval.label=left", "eval.probe=knn"});
    const auto table = films.folder.read("films.csv");
    const auto row = table.find("000.png");
    films.folder.write("films.csv", table + table.substr(row, table.find('\n', row) + 1 - row));
    const auto result = evaluate(films.recipe, with_parts(), films.built(), *films.recipe.eval, c10::kCPU);
    CHECK(result.test_images == 31);
    REQUIRE(result.notes.size() == 1);
    CHECK_THAT(result.notes[0],
               Contains("test: 1 of 31 rows name an image that an earlier row names, such as ") &&
                   Contains("000.png"));
}

TEST_CASE("test films that show nothing are counted and used") {
    const Findings films({"eval.label=left", "eval.probe=knn"});
    for (const auto& [name, grey] : {std::pair("000.png", 0), {"001.png", 255}})  // both are tested
        cv::imwrite((films.folder / name).string(), cv::Mat(16, 16, CV_8U, cv::Scalar(grey)));
    const auto result = evaluate(films.recipe, with_parts(), films.built(), *films.recipe.eval, c10::kCPU);
    CHECK(result.test_images == 30);
    REQUIRE(result.notes.size() == 1);
    CHECK_THAT(result.notes[0], Contains("2 test images are blank or nearly and are used: ") &&
                                    Contains("000.png") && Contains("001.png"));
}

TEST_CASE("the protocol has the k that was used") {
    const auto protocol = [](const std::vector<std::string>& overrides) {
        const Findings films(overrides);
        return evaluate(films.recipe, with_parts(), films.built(), *films.recipe.eval, c10::kCPU).protocol;
    };
    CHECK_THAT(protocol({"eval.label=left", "eval.k=1000", "eval.probe=knn"}),
               Contains("k-NN: k = 60, all training rows (1000 asked for)"));
    CHECK_THAT(protocol({"eval.k=1000", "eval.probe=knn"}),
               Contains("k-NN: k = 1000 or all training rows where there are fewer, at least "));
}

TEST_CASE(
    "a detection refuses test films that were trained or standardised on, and those that choose its "
    "threshold") {
    const auto text = tiny_demo() + R"([detect]
source = "phantom"
phantom_count = 60
phantom_seed = 7
)" + detect_rows + restore_score;
    const auto notes = [&](const std::vector<std::string>& overrides) {
        const TrainingRun run(text, overrides);
        return open_anomaly_images(run.recipe).test.notes;
    };
    CHECK(notes({}).empty());
    CHECK_THROWS_WITH(
        notes({"detect.test_where="}),
        Contains("of 60 test images are known from the normal images that scores are standardised on") &&
            Contains("normal_where = "));
    CHECK_THROWS_WITH(notes({"detect.validation_where=split == \"test\""}),
                      Contains("12 of 12 test images are known from the rows that the threshold is chosen on"));
    CHECK_THROWS_WITH(notes({"data.phantom_seed=7", "data.phantom_count=60"}),
                      Contains("12 of 12 test images are known from the images of [data], which the network is "
                               "trained on: 12 same files"));
    CHECK(notes({"data.phantom_seed=7", "data.phantom_count=60", "detect.overlap=true"}).size() == 1);
}

TEST_CASE("a detection without an abnormal test film has no AUC, and says so") {
    const TrainingRun run(tiny_demo() + R"([detect]
source = "phantom"
phantom_count = 60
phantom_seed = 7
normal_where = 'split == "train" and abnormal == 0'
test_where = 'split == "test" and abnormal == 0'
label = "abnormal"
positive = "1"
[detect.scores.restore]
use = "error"
output = "student.restored"
patch = 8
)");
    CHECK(open_anomaly_images(run.recipe).test.labels.of == std::vector<int>(5, 0));
}

}  // namespace eval_apart
