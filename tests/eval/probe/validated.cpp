// The rows of [validate] are opened with the other tables, and refused where they are trained or tested on.
#include "eval/probe/validated.hpp"

#include "eval/anomaly/anomaly.hpp"
#include "eval/metrics/metrics.hpp"
#include "eval/probe/apart.hpp"
#include "eval/probe/evaluate.hpp"
#include "runs/opened_tables.hpp"
#include "support/detecting.hpp"
#include "train/support.hpp"

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string sections = R"([validate]
where = 'split == "val"'
[probe]
phantom_count = 120
train_where = 'split == "train"'
test_where = 'split == "val"'
label = "abnormal"
positive = "1"
[eval]
phantom_count = 120
train_where = 'split == "train"'
test_where = 'split == "test"'
label = "abnormal"
positive = "1"
[detect]
source = "phantom"
phantom_count = 120
)" + detect_rows + R"([detect.scores.value]
use = "output"
output = "student.score"
)";

struct Opened {
    TemporaryFolder folder;
    recipe::Recipe recipe;

    explicit Opened(std::vector<std::string> overrides = {})
        : recipe(recipe::load(folder.write("recipe.toml", linear_map +
                                                              "[networks.student.heads.bright]\nuse = "
                                                              "\"test-brightness\"\n" +
                                                              sections),
                              with_films(std::move(overrides)))) {}
    /// All sections read the same 120 films, half of them with a lesion.
    static std::vector<std::string> with_films(std::vector<std::string> overrides) {
        std::vector<std::string> all = {"data.phantom_count=120",   "data.phantom_seed=1000",
                                        "data.phantom_lesions=0.5", "data.size=32",
                                        "detect.phantom_seed=1000", "data.where=split == \"train\""};
        all.insert(all.end(), overrides.begin(), overrides.end());
        return all;
    }
    runs::Tables tables() const { return runs::open_tables(recipe, with_parts(), recipe::table_sections); }
    std::string refusal() const {
        return message_of<Error>([&] { tables(); });
    }
};

const std::vector<std::string> by_probe = {"validate.watch=probe.auc", "validate.best=highest"},
                               by_detection = {"validate.watch=detect.auroc", "validate.best=highest"};

std::vector<std::string> and_also(std::vector<std::string> words, const std::string& more) {
    words.push_back(more);
    return words;
}

}  // namespace

TEST_CASE("validation rows are opened with the other tables, and listed") {
    const Opened opened;
    const auto tables = opened.tables();
    REQUIRE(tables.validate);
    CHECK(tables.validate->images->size() == 12);
    CHECK(tables.validate->notes.empty());
    const auto table = runs::table_of(tables, opened.recipe);
    CHECK(table.rows[1][0] == "[validate]");
    CHECK(table.rows[1][1] == "12");
}

TEST_CASE("validation rows that are trained or tested on are refused with counts and examples") {
    CHECK_THAT(Opened({"validate.where=split != \"test\""}).refusal(),
               Contains("argument 'validate.where=") &&
                   Contains("84 of 96 validation images are known from the images of [data], which the network "
                            "is trained on: 84 same files (") &&
                   Contains("divide them by patient, such as data.where = 'split == \"train\"'") &&
                   Contains("or write overlap = true in this section"));
    CHECK_THAT(Opened({"validate.where=split == \"test\""}).refusal(),
               Contains("24 of 24 validation images are known from the rows that [eval] tests on"));
    CHECK_THAT(Opened({"validate.where=split == \"test\"", "eval.phantom_seed=5"}).refusal(),
               Contains("the rows that [detect] tests on"));
}

TEST_CASE("overlap = true allows them, and they are told") {
    const Opened opened({"validate.where=split != \"val\"", "validate.overlap=true"});
    const auto tables = opened.tables();
    CHECK(tables.validate->notes.size() == 3);
    const auto notes = join(runs::notes_on(tables, opened.recipe), "\n");
    CHECK_THAT(notes, Contains("[validate]: 84 of 108 validation images are known from the images of [data]") &&
                          Contains("[validate] chooses the checkpoint `best` on, which flatters `best`"));
}

TEST_CASE("a probe that is watched is measured on rows of its own table, in place of its test rows") {
    const Opened opened(by_probe);
    const auto tables = opened.tables();
    REQUIRE(tables.validate);
    CHECK(tables.validate->labels.classes == tables.probe->first.labels.classes);
    CHECK(tables.validate->labels.of == tables.probe->second.labels.of);
    CHECK_THAT(Opened(and_also(by_probe, "validate.where=split == \"train\"")).refusal(),
               Contains("known from the images of [data]"));
    CHECK_THAT(Opened(and_also(by_probe, "validate.where=split == \"val\" and abnormal == 0")).refusal(),
               Contains("validate.where: found no row of class '1' among ") &&
                   Contains("probe.auc has no value without"));
}

TEST_CASE("a detection that is watched is scored on rows of its own table") {
    const Opened opened(by_detection);
    const auto tables = opened.tables();
    REQUIRE(tables.validate);
    const auto plan = plan::Plan::initial(opened.recipe, with_parts());
    const LabelledSet rows{tables.validate->images, tables.validate->labels};
    const auto value =
        quick_detection(opened.recipe, tables.detect->normal, rows, plan, evaluation_context(c10::kCPU));
    std::vector<double> brightness;
    for (std::int64_t i = 0; i < rows.images->size(); ++i)
        brightness.push_back(cv::mean(rows.images->load(i))[0]);
    CHECK(value == Approx(auc(brightness, rows.labels.of)));
    // It is what `hearth detect` says of the same rows.
    auto tested = opened.recipe;
    tested.detect->labelled.test_where = opened.recipe.validate->where;
    CHECK(detect(tested, plan, c10::kCPU).sum().auc.value == value);
}
