// A shipped recipe on one's own films: hearth data recipe, --with, and mistakes that show before training.
#include "cli/support.hpp"
#include "support/detecting.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

/// The tiny recipe as a shipped one: its data are elsewhere, behind a variable that is not set.
struct OwnBox : Sandbox {
    OwnBox() {
        folder.write(
            "shipped.toml",
            "schema = 1\nname = \"shipped\"\nextends = [\"tiny.toml\"]\n[data]\nsource = "
            "\"$HEARTH_NOT_SET/m.csv\"\nwhere = 'split == \"train\" and theirs == 1'\n[probe]\nsource = "
            "\"$HEARTH_NOT_SET/m.csv\"\nlabel = \"theirs\"\n[eval]\nsource = \"$HEARTH_NOT_SET/m.csv\"\nlabel "
            "= \"theirs\"\n");
        REQUIRE(
            run({"data", "phantom", "--out", "films", "-n", "200", "--size", "32", "--lesions", "0.5"}).code ==
            0);
    }
};

}  // namespace

TEST_CASE("a fragment of a manifest's columns points any recipe at one's own films") {
    const OwnBox box;
    const auto made =
        box.run({"data", "recipe", "films/manifest.csv", "--label", "abnormal", "-o", "my-data.toml"});
    INFO(made.err);
    REQUIRE(made.code == 0);
    CHECK_THAT(made.out,
               Contains("200 images, label abnormal, splits test, train, val, patients by patient\n") &&
                   Contains("\"data.where=split == \\\"train\\\" and abnormal == 0\""));
    const auto text = box.folder.read("my-data.toml");
    CHECK_THAT(text, Contains("source = \"films/manifest.csv\"") && Contains("where = 'split == \"train\"'") &&
                         Contains("test_where = 'split == \"val\"'") &&
                         Contains("test_where = 'split == \"test\"'") && Contains("positive = \"1\"") &&
                         Contains("normal_where = 'split == \"train\" and abnormal == 0'") &&
                         Contains("mask = \"mask\""));
    CHECK(box.run({"data", "recipe", "films/manifest.csv", "-o", "my-data.toml"}).code == 2);  // it is there

    CHECK_THAT(box.run({"train", "shipped.toml", "--out", "run"}).err,
               Contains("HEARTH_NOT_SET, which is not set"));
    const auto shown =
        box.run({"recipes", "show", "shipped.toml", "--with", "my-data.toml", "--origin", "probe.k=3"});
    INFO(shown.err);
    CHECK_THAT(shown.out,
               Contains("films/manifest.csv\"  # my-data.toml:") && Contains("# argument 'probe.k=3'"));
    const auto checked = box.run({"check", "shipped.toml", "--with", "my-data.toml"});
    INFO(checked.err);
    REQUIRE(checked.code == 0);
    CHECK_THAT(checked.out, Contains("[data]") && Contains("[probe] training") && Contains("[eval] test"));
    for (const auto& words : std::vector<Words>{{"plan", "shipped.toml"},
                                                {"bench", "shipped.toml", "--steps", "1", "--warmup", "0"},
                                                {"data", "preview", "shipped.toml", "-n", "2"},
                                                {"sweep", "shipped.toml", "--dry-run"}}) {
        INFO(words[0]);
        auto with = words;
        with.insert(with.end(), {"--with", "my-data.toml"});
        CHECK(box.run(with).code == 0);
    }
    const auto trained = box.run(
        {"train", "shipped.toml", "--with", "my-data.toml", "probe.every=1", "--out", "run", "--quiet"});
    INFO(trained.err);
    REQUIRE(trained.code == 0);
    CHECK_THAT(box.folder.read("run/resolved.toml"), Contains("films/manifest.csv\"  # my-data.toml:"));
    CHECK(fs::exists(box.folder / "run/eval.json"));
}

TEST_CASE("a finding of 1, 0, -1 and blanks is read alike in every section, and commas are quoted") {
    const OwnBox box;
    std::string table = "path,split,Edema,kind\n";
    int row = 0;
    for (const std::string split : {"train", "val", "test"})
        for (const std::string finding : {"1", "0", "-1", ""})
            table += std::to_string(row++) + ".png," + split + "," + finding +
                     (finding == "1" ? ",\"Edema, mild\"\n" : ",normal\n");
    box.folder.write("chexpert.csv", table);
    REQUIRE(box.run({"data", "recipe", "chexpert.csv", "--label", "Edema", "-o", "edema.toml"}).code == 0);
    const auto edema = box.folder.read("edema.toml");
    int positives = 0;
    for (auto at = edema.find("\npositive = "); at != std::string::npos;
         at = edema.find("\npositive = ", at + 1)) {
        CHECK(edema.substr(at + 1, edema.find('\n', at + 1) - at - 1) == "positive = \"1\"");
        ++positives;
    }
    CHECK(positives == 3);
    CHECK_THAT(edema.substr(edema.find("[detect]")), Contains("uncertain = \"ignore\"\nblank = \"ignore\"\n"));
    CHECK_THAT(edema, Contains("patient = \"\"    # there is no such column") && !Contains("\"patient\""));

    REQUIRE(box.run({"data", "recipe", "chexpert.csv", "--label", "kind", "-o", "kind.toml"}).code == 0);
    const auto kind = box.folder.read("kind.toml");
    CHECK_THAT(kind, Contains("positive = '\"Edema, mild\"'") && Contains("[detect]") &&
                         !Contains("positive = \"Edema, mild\""));
    CHECK(box.run({"data", "recipe", "chexpert.csv", "--label", "kind", "--positive", "Edema, mild", "-o",
                   "again.toml"})
              .code == 0);
}

TEST_CASE("a column of patients by another name is taken by data recipe, and named where it is not") {
    const OwnBox box;
    auto table = box.folder.read("films/manifest.csv");
    table.replace(table.find("patient"), 7, "PatientID");
    box.folder.write("films/other.csv", table);
    const auto made = box.run({"data", "recipe", "films/other.csv", "--label", "abnormal", "-o", "other.toml"});
    CHECK_THAT(made.out, Contains("patients by PatientID\n"));
    const auto text = box.folder.read("other.toml");
    CHECK_THAT(text, Contains("patient = \"PatientID\"") && !Contains("there is no such column"));
    const auto well = box.run({"check", "tiny.toml", "--with", "other.toml"});
    INFO(well.err);
    CHECK(well.code == 0);
    CHECK_THAT(well.out, !Contains("there is no column 'patient'"));
    const auto noted = box.run(
        {"check", "tiny.toml", "data.source=films/other.csv", "data.where=", "eval.source=films/other.csv"});
    INFO(noted.err);
    REQUIRE(noted.code == 0);
    CHECK_THAT(noted.out, Contains("note: [data]: there is no column 'patient'") &&
                              Contains("write data.patient = \"PatientID\"") &&
                              Contains("write patient = \"PatientID\" in the section of "));
    CHECK_THAT(box.run({"data", "check", "films/other.csv", "--quick"}).out,
               Contains("note: no-patient: There is no column 'patient'"));
    CHECK_THAT(box.run({"data", "recipe", "films/other.csv", "--label", "abnormal", "--patient", "location",
                        "-o", "third.toml"})
                   .out,
               Contains("patients by location\n"));
    CHECK(box.run({"data", "recipe", "films/other.csv", "--label", "abnormal", "--patient", "nobody", "-o",
                   "x.toml"})
              .code == 2);
}

TEST_CASE("abnormal films among those that a network learns from are counted by the label of [detect]") {
    const OwnBox box;
    box.folder.write("detect.toml", tiny_recipe + R"([detect]
source = "films/manifest.csv"
)" + detect_rows + restore_score);
    const Words words = {"check", "detect.toml", "data.source=films/manifest.csv"};
    auto all = words, normal = words;
    all.emplace_back("data.where=split == \"train\"");
    normal.emplace_back("data.where=split == \"train\" and abnormal == 0");
    const auto outcome = box.run(all);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.out, Contains(" of 140 images of [data] are abnormal by the label of [detect]") &&
                                Contains("data.where = 'split == \"train\" and abnormal == 0'"));
    CHECK_THAT(box.run(normal).out, !Contains("are abnormal by the label"));
}

TEST_CASE("files that are not there are counted at once: noted, and refused above data.max_bad") {
    const OwnBox box;
    for (const auto* film : {"00001.png", "00002.png", "00003.png"})
        fs::remove(box.folder / "films/images" / film);
    for (const std::string verb : {"check", "train"}) {
        const auto refused = box.run({verb, "tiny.toml", "data.source=films/manifest.csv", "data.where="});
        CHECK(refused.code == 3);
        CHECK_THAT(refused.err,
                   Contains("argument 'data.source=films/manifest.csv': data.source: found no file for "
                            "3 of 200 images, such as ") &&
                       Contains("expected at most 1 % that cannot be read (data.max_bad)"));
    }
    const auto noted =
        box.run({"check", "tiny.toml", "data.source=films/manifest.csv", "data.where=", "data.max_bad=0.02"});
    INFO(noted.err);
    REQUIRE(noted.code == 0);
    CHECK_THAT(noted.out,
               Contains("note: [data]: found no file for 3 of 200 images") && Contains("they are left out"));
}

TEST_CASE("what is wrong with a table is told with its key and the place of it") {
    const OwnBox box;
    const std::string films = "data.source=films/manifest.csv";
    for (const auto& [word, found] : std::vector<std::pair<std::string, std::string>>{
             {"data.source=films/manifst.csv",
              "argument 'data.source=films/manifst.csv': data.source: " + (box.folder / "films").string()},
             {"data.source=films/manifst.csv", "(did you mean 'manifest.csv'?)"},
             {"eval.source=films/manifst.csv", "argument 'eval.source=films/manifst.csv': source: "},
             {"data.where=split == \"trian\"", "'data.where=split == \"trian\"': data.where: "},
             {"data.where=splt == \"train\"", "': data.where: unknown column 'splt' (did you mean 'split'?)"},
             {"eval.fraction=0.001", "argument 'eval.fraction=0.001': fraction: found 0.001 of "}}) {
        INFO(word);
        const auto outcome = word.starts_with("data.source")
                                 ? box.run({"check", "tiny.toml", word})
                                 : box.run({"check", "tiny.toml", films, "data.where=", word});
        CHECK((outcome.code == 2 || outcome.code == 3));
        CHECK_THAT(outcome.err, Contains(found));
    }
    box.folder.write("films/bare.csv", "path,label\nimages/00000.png,a\nimages/00001.png,b\n");
    CHECK_THAT(
        box.run({"check", "tiny.toml", "data.source=films/bare.csv", "data.where=split == \"train\""}).err,
        Contains("bare.csv has no column `split`: where all of its rows are meant, write data.where = \"\"") &&
            !Contains("quote it"));
}

TEST_CASE("columns that are written and not there are refused in every section") {
    const OwnBox box;
    box.folder.write("detect.toml", tiny_recipe + R"([detect]
source = "films/manifest.csv"
)" + detect_rows + restore_score);
    const std::string films = "data.source=films/manifest.csv";
    for (const auto& [word, found] : std::vector<std::pair<std::string, std::string>>{
             {"data.patient=patientt",
              "argument 'data.patient=patientt': data.patient: found no column 'patientt'"},
             {"probe.patient=patientt", "patient: found no column 'patientt'"},
             {"eval.patient=patientt", "patient: found no column 'patientt'"},
             {"detect.patient=patientt", "(did you mean 'patient'?)"},
             {"data.mask=maks", "data.mask: found no column 'maks'"},
             {"data.mask=label", "found no file for "},
             {"detect.mask=label", "detect.mask: found no file for "}}) {
        INFO(word);
        const auto outcome = box.run({"check", "detect.toml", films, "data.where=split == \"train\"", word});
        CHECK((outcome.code == 2 || outcome.code == 3));
        CHECK_THAT(outcome.err, Contains(found));
    }
    CHECK(box.run({"check", "detect.toml", films, "data.where=split == \"train\"", "data.patient="}).code == 0);
}

TEST_CASE("check refuses fewer images than a step takes, and says what there is to note") {
    const OwnBox box;
    const auto few = box.run({"check", "tiny.toml", "data.source=films/manifest.csv",
                              "data.where=", "data.label=label", "data.fraction=0.1", "train.batch=64"});
    CHECK(few.code == 3);
    CHECK_THAT(few.err, Contains("expected at least the 64 of a step"));
    const auto table = box.folder.read("films/manifest.csv");
    const auto second = table.find('\n') + 1;
    box.folder.write("films/twice.csv", table + table.substr(second, table.find('\n', second) + 1 - second));
    const auto twice = box.run({"check", "tiny.toml", "data.source=films/twice.csv", "data.where="});
    INFO(twice.err);
    REQUIRE(twice.code == 0);
    CHECK_THAT(twice.out, Contains("note: [data]: 1 of 201 rows name an image that an earlier row names"));
    CHECK_THAT(box.run({"data", "stats", "films/twice.csv"}).out,
               Contains("note: 1 of 201 rows name an image"));
}

TEST_CASE("run.json says how the evaluation after the training went, and the run can go on from there") {
    const OwnBox box;
    REQUIRE(box.run({"train", "tiny.toml", "--out", "run", "--no-report"}).code == 0);
    fs::create_directories(box.folder / "run/eval.json/full");  // so that it cannot be written
    const auto failed = box.run({"train", "tiny.toml", "--out", "run", "--resume=auto"});
    CHECK(failed.code != 0);
    const auto state = [&] { return nlohmann::json::parse(box.folder.read("run/run.json")); };
    const auto run = state();
    CHECK(run["status"] == "finished");
    CHECK(run["evaluation"]["status"] == "failed");
    CHECK(run["evaluation"]["exit_code"] == failed.code);
    const auto error = run["evaluation"]["error"].get<std::string>();
    CHECK_THAT(error, Contains("eval.json"));
    CHECK_THAT(box.folder.read("run/train.log"), Contains("error: evaluation: " + error));
    fs::remove_all(box.folder / "run/eval.json");
    REQUIRE(box.run({"train", "tiny.toml", "--out", "run", "--resume=auto"}).code == 0);
    CHECK(state()["evaluation"] == nlohmann::json({{"status", "finished"}, {"exit_code", 0}}));
}

TEST_CASE("a manifest without a split is tested by folds, one without labels is only trained on") {
    const OwnBox box;
    box.folder.write("plain.csv", "path,patient,finding\na.png,1,0\nb.png,2,1\nc.png,3,0\n");
    REQUIRE(box.run({"data", "recipe", "plain.csv", "-o", "plain.toml"}).code == 0);
    const auto text = box.folder.read("plain.toml");
    CHECK_THAT(text, Contains("label = \"finding\"") && Contains("positive = \"1\"") && Contains("folds = 5") &&
                         Contains("where = \"\"") && Contains("every = 0") && !Contains("\n[detect]"));
    CHECK_THAT(text, Contains("drop.detect = true"));
    const auto unlabelled = box.run({"data", "recipe", "films/images", "-o", "made/folder.toml"});
    REQUIRE(unlabelled.code == 0);
    CHECK_THAT(unlabelled.out, Contains("200 images, no labels, no split, no column of patients\n") &&
                                   !Contains("folds") &&
                                   Contains("note: found no column with labels: the recipe's [probe], [eval]"));
    const auto folder = box.folder.read("made/folder.toml");
    CHECK_THAT(folder, Contains((box.folder / "films/images").string()) && !Contains("\n[eval]") &&
                           Contains("drop.probe = true\ndrop.eval = true\ndrop.detect = true\n"));
    const auto checked = box.run({"check", "shipped.toml", "--with", "made/folder.toml"});
    INFO(checked.err);
    REQUIRE(checked.code == 0);
    CHECK_THAT(checked.out, Contains("[data]") && !Contains("[probe]") && !Contains("[eval]"));
    const auto detecting = box.run({"detect", "shipped.toml", "--with", "made/folder.toml"});
    CHECK(detecting.code == 2);
    CHECK_THAT(detecting.err, Contains("has no [detect] (dropped: made/folder.toml:"));
    CHECK_THAT(box.run({"recipes", "show", "shipped.toml", "--with", "made/folder.toml", "--origin"}).out,
               Contains("eval = true  # made/folder.toml:"));

    // A folder of a table is not that table.
    CHECK_THAT(box.run({"data", "recipe", "films", "-o", "made/films.toml"}).out,
               Contains("manifest.csv lies in this folder: name films/manifest.csv in its place"));
    const auto whole = box.run({"check", "shipped.toml", "--with", "made/films.toml"});
    CHECK_THAT(whole.out + whole.err, Contains("[data]: ") && Contains("manifest.csv lies in this folder"));

    const auto gone = box.run({"check", "shipped.toml", "--with", "made/foldr.toml"});
    CHECK(gone.code == 2);
    CHECK_THAT(gone.err,
               Contains("--with made/foldr.toml: found no such file (did you mean 'made/folder.toml'?)") &&
                   !Contains("recipes list"));

    box.folder.write("two.csv", "path,edema,effusion\na.png,0,1\nb.png,1,0\n");
    const auto two = box.run({"data", "recipe", "two.csv", "-o", "two.toml"});
    CHECK(two.code == 2);
    CHECK_THAT(two.err, Contains("several that could be one: edema, effusion; expected --label COLUMN"));
    REQUIRE(box.run({"data", "recipe", "two.csv", "--label", "edema, effusion", "-o", "two.toml"}).code == 0);
    CHECK_THAT(box.folder.read("two.toml"), Contains("label = \"edema, effusion\"\npositive = \"\""));
    const auto wrong =
        box.run({"data", "recipe", "two.csv", "--label", "edema", "--positive", "2", "-o", "x.toml"});
    CHECK(wrong.code == 2);
    CHECK_THAT(wrong.err, Contains("--positive: found '2', expected a value of column 'edema': 0, 1"));
    CHECK(box.run({"data", "recipe", "two.csv", "--label", "edma", "-o", "x.toml"}).code == 2);
}

TEST_CASE("the counts of an evaluation in folds are the same before and after") {
    const OwnBox box;
    const auto folds = std::vector<std::string>{"eval.source=films/manifest.csv",
                                                "eval.train_where=", "eval.test_where=", "eval.folds=3"};
    auto words = Words{"train", "tiny.toml", "--out", "run"};
    words.insert(words.end(), folds.begin(), folds.end());
    const auto outcome = box.run(words);
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.err, Contains("[eval] in 3 folds") && !Contains("[eval] test"));
    CHECK_THAT(outcome.out, Contains("Predicted: abnormal = 1. 200 images of 200 patients in 3 folds, each"));
}

TEST_CASE("a class that the probe while training lacks is named before") {
    const OwnBox box;
    const auto outcome = box.run({"train", "tiny.toml", "probe.test_where=abnormal == 0", "probe.overlap=true",
                                  "probe.every=1", "--out", "run", "--no-report"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.err,
               Contains("note: [probe]: no test image is of class '1', so knn_auc while training is "
                        "undefined and chooses no `best`"));
    CHECK_FALSE(fs::exists(box.folder / "run/checkpoints/best.safetensors"));
}

TEST_CASE("splits are known by their usual words, however they are written; others are said") {
    const OwnBox box;
    box.folder.write("m.csv",
                     "path,finding,split\na.png,1,Train\nb.png,0,Train\nc.png,1,Validation\nd.png,0,TEST\n"
                     "e.png,1,extra\n");
    const auto made = box.run({"data", "recipe", "m.csv", "-o", "m.toml"});
    CHECK_THAT(made.out, Contains("note: split 'extra' is not used"));
    CHECK_THAT(box.folder.read("m.toml"),
               Contains("where = 'split == \"Train\"'") && Contains("test_where = 'split == \"Validation\"'") &&
                   Contains("test_where = 'split == \"TEST\"'") && !Contains("folds = 5"));
    box.folder.write("two.csv", "path,finding,split\na.png,1,train\nb.png,0,Training\n");
    const auto two = box.run({"data", "recipe", "two.csv", "-o", "two.toml"});
    CHECK(two.code == 2);
    CHECK_THAT(two.err, Contains("expected one word for train"));
}

TEST_CASE("a table whose paths lead nowhere shows before anything is trained") {
    const OwnBox box;
    box.folder.write("gone.csv", "path\na.png\nb.png\n");
    for (const std::string verb : {"check", "train"}) {
        const auto outcome = box.run({verb, "tiny.toml", "data.source=gone.csv", "data.where="});
        CHECK(outcome.code == 3);
        CHECK_THAT(outcome.err, Contains("found no file for 2 of 2 images, such as ") && Contains("/a.png;") &&
                                    Contains("paths of a table start at its own folder: correct its column"));
    }
    for (const auto& words : std::vector<Words>{{"bench", "tiny.toml", "--steps", "1", "--warmup", "0"},
                                                {"data", "preview", "tiny.toml"}}) {
        auto with = words;
        with.insert(with.end(), {"data.source=gone.csv", "data.where=", "train.batch=2"});
        CHECK_THAT(box.run(with).err, Contains("found no file for 2 of 2 images"));
    }
    box.folder.write("broken.csv", "path\nx.png\ny.png\n");
    for (const auto* film : {"x.png", "y.png"}) box.folder.write(film, "no image");
    CHECK_THAT(box.run({"check", "tiny.toml", "data.source=broken.csv", "data.where="}).err,
               Contains("tried 2 of 2 images, expected to read one") && Contains("y.png: found bytes"));
}

TEST_CASE("verbs need only what they open") {
    const OwnBox box;
    const auto source = "data.source=films/manifest.csv";
    CHECK(box.run({"plan", "shipped.toml"}).code == 0);  // opens nothing
    CHECK(box.run({"bench", "shipped.toml", "--generated", "--steps", "1", "--warmup", "0"}).code == 0);
    CHECK(box.run({"data", "preview", "shipped.toml", source, "data.where=", "-n", "2"}).code == 0);
    CHECK(box.run({"embed", "shipped.toml", "films/manifest.csv", "-o", "f.csv"}).code == 0);
    const auto preview = box.run({"data", "preview", "shipped.toml", "-n", "2"});
    CHECK(preview.code == 2);
    CHECK_THAT(preview.err, Contains("data.source") && !Contains("eval.source"));
    const auto trained = box.run({"train", "shipped.toml", source, "data.where=", "--out", "run"});
    CHECK(trained.code == 2);
    CHECK_THAT(trained.err, Contains("probe.source") && Contains("eval.source"));
}

TEST_CASE("mistakes of all levels come at once") {
    const Sandbox sandbox;
    sandbox.folder.write("no-source.toml",
                         "schema = 1\n[networks.student]\nbackbone = { use = \"vti\" }\n[[pass]]\nnetwork = "
                         "\"student\"\nview = \"image\"\n[[loss]]\nuse = \"restoratoin\"\n");
    const auto outcome = sandbox.run({"train", "no-source.toml", "train.epoch=3", "--out", "run"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains("data.source: missing") && Contains("train.epoch: unknown key") &&
                                Contains("did you mean 'vit'?") && Contains("did you mean 'restoration'?"));
    sandbox.folder.write("no-network.toml",
                         "schema = 1\n[networks.student]\nbackbone = { use = \"vti\" }\n[[pass]]\nnetwork = "
                         "\"nobody\"\nview = \"image\"\n");
    CHECK_THAT(sandbox.run({"plan", "no-network.toml"}).err,
               Contains("nobody") && Contains("did you mean 'vit'?"));
}

TEST_CASE("mistakes in tables show before training, all at once, in check and in train") {
    const OwnBox box;
    const Words wrong = {"data.source=nowhere.csv", "probe.label=abnormall",
                         "eval.test_where=split == \"tset\"", "loss.restoration.use=restoratoin"};
    for (const std::string verb : {"check", "train"}) {
        INFO(verb);
        Words words = {verb, "tiny.toml"};
        words.insert(words.end(), wrong.begin(), wrong.end());
        const auto outcome = box.run(words);
        CHECK(outcome.code == 3);  // of the first: no such table
        CHECK_THAT(outcome.err, Contains("4 mistakes in what it names") && Contains("nowhere.csv: not found") &&
                                    Contains("abnormall") && Contains("tset") && Contains("restoratoin"));
    }
    CHECK_FALSE(fs::exists(box.folder / "runs"));
}

TEST_CASE("a wrong column or score of [detect] shows before training") {
    const OwnBox box;
    box.folder.write("detect.toml", tiny_recipe + R"([detect]
source = "films/manifest.csv"
)" + detect_rows + restore_score);
    const auto well = box.run({"check", "detect.toml"});
    INFO(well.err);
    CHECK(well.code == 0);
    CHECK_THAT(well.out, Contains("[detect] normal") && Contains("[detect] test"));
    for (const auto& [word, found] : std::vector<std::pair<std::string, std::string>>{
             {"detect.mask=maks", "argument 'detect.mask=maks': detect.mask: found no column 'maks', expected"},
             {"detect.kind=knid", "detect.kind: found no column 'knid'"},
             {"detect.label=abnormall", "argument 'detect.label=abnormall': label: found no column"},
             {"detect.normal_where=split == \"train\"", "normal_where selects"},
             {"detect.scores.restore.output=student.restord", "student.restord"}})
        for (const std::string verb : {"check", "train"}) {
            INFO(word);
            const auto outcome = box.run({verb, "detect.toml", word});
            CHECK((outcome.code == 2 || outcome.code == 3));
            CHECK_THAT(outcome.err, Contains(found));
            CHECK_FALSE(fs::exists(box.folder / "runs"));
        }
}

TEST_CASE("check counts images, patients and classes of every table") {
    const OwnBox box;
    const auto rows = box.run({"check", "tiny.toml", "data.source=films/manifest.csv",
                               "data.where=", "data.label=label", "--json"})
                          .json()["tables"];
    REQUIRE(rows.size() == 5);
    CHECK(rows[0]["table"] == "[data]");
    CHECK(rows[0]["images"] == "200");
    CHECK_THAT(rows[0]["classes"].get<std::string>(), Contains("normal "));
    CHECK(rows[1]["table"] == "[probe] training");
    CHECK(rows[4]["table"] == "[eval] test");
}

TEST_CASE("[validate] is opened by the check, measured while training and drawn in the report") {
    const Sandbox box;
    box.folder.write("val.toml",
                     "[data]\nwhere = 'split == \"train\"'\n[validate]\nwhere = 'split == \"val\"'\n");
    const auto checked = box.run({"check", "tiny.toml", "--with", "val.toml", "--json"});
    INFO(checked.err);
    REQUIRE(checked.code == 0);
    CHECK(checked.json()["tables"][1]["table"] == "[validate]");
    CHECK(checked.json()["tables"][1]["images"] == "4");
    const auto trained = box.run({"train", "tiny.toml", "--with", "val.toml", "--out", "run"});
    INFO(trained.err);
    REQUIRE(trained.code == 0);
    CHECK_THAT(trained.err, Contains("[validate]") && Contains("validation after epoch 1: total "));
    CHECK_THAT(box.folder.read("run/metrics.jsonl"), Contains("\"event\":\"validate\""));
    CHECK_THAT(box.folder.read("run/run.json"), Contains("\"metric\": \"total\""));
    CHECK_THAT(box.folder.read("run/report.html"), Contains("Validation: total"));

    const auto wrong =
        box.run({"check", "tiny.toml", "--with", "val.toml", "validate.where=split != \"test\""});
    CHECK(wrong.code == 2);
    CHECK_THAT(wrong.err, Contains("28 of 32 validation images are known from the images of [data]"));
}
