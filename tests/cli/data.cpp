// hearth data import, check and stats as a user runs them.

#include "cli/support.hpp"

using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

/// Real pictures under the names of a data set: 12 children, two of them in train/ and test/.
struct ChildSandbox : Sandbox {
    ChildSandbox();
};

ChildSandbox::ChildSandbox() {
    REQUIRE(run({"data", "phantom", "--out", "films", "-n", "13", "--size", "32"}).code == 0);
    const std::vector<std::string> names = {
        "train/NORMAL/IM-0001-0001.jpeg",          "train/NORMAL/IM-0002-0001.jpeg",
        "train/NORMAL/IM-0003-0001.jpeg",          "train/NORMAL/IM-0004-0001.jpeg",
        "train/PNEUMONIA/person1_bacteria_1.jpeg", "train/PNEUMONIA/person2_bacteria_2.jpeg",
        "train/PNEUMONIA/person3_virus_3.jpeg",    "train/PNEUMONIA/person4_virus_4.jpeg",
        "test/NORMAL/IM-0005-0001.jpeg",           "test/NORMAL/IM-0001-0001.jpeg",
        "test/PNEUMONIA/person1_bacteria_9.jpeg",  "test/PNEUMONIA/person6_virus_6.jpeg"};
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::string number = (i < 10 ? "0" : "") + std::to_string(i);
        folder.write("chest_xray/" + names[i], folder.read("films/images/000" + number + ".png"));
    }
}

}  // namespace

TEST_CASE("data import writes a manifest that check and stats read; a leaking official split is said") {
    const ChildSandbox box;
    const auto made = box.run({"data", "import", "childcxr", "chest_xray", "--out", "lists/child.csv"});
    CHECK(made.code == 0);
    CHECK_THAT(made.out, Contains("lists/child.csv: 12 images") && Contains("train       8") &&
                             Contains("abnormal: 0 (6), 1 (6)") &&
                             Contains("2 patients are in more than one split"));
    CHECK_THAT(box.folder.read("lists/child.csv"),
               Contains("../chest_xray/train/PNEUMONIA/person3_virus_3.jpeg,person3,frontal,virus,1,train\n"));

    const auto checked = box.run({"data", "check", "lists/child.csv"});
    CHECK(checked.code == 0);
    CHECK_THAT(checked.out, Contains("12 images, 0 unreadable") && Contains("warning: leakage") &&
                                Contains("IM-0001: test (1) train (1)"));
    CHECK(box.run({"data", "check", "lists/child.csv", "--strict"}).code == 3);
    const auto findings = box.run({"data", "check", "lists/child.csv", "--json"}).json();
    CHECK(findings["images"] == 12);
    CHECK(findings["wrong"] == false);
    CHECK(findings["findings"][0]["kind"] == "leakage");
    CHECK(findings["findings"][0]["count"] == 2);

    const auto stats = box.run({"data", "stats", "lists/child.csv"});
    CHECK(stats.code == 0);
    CHECK_THAT(stats.out,
               Contains("12 images of 10 patients") && Contains("32 x 32 (12)") && Contains("png (12)"));
    const auto figures = box.run({"data", "stats", "lists/child.csv", "--json", "--sample", "3"}).json();
    CHECK(figures["splits"]["test"]["images"] == 4);
    CHECK(figures["values"]["label"]["virus"]["train"] == 2);
    CHECK(figures["files"]["sampled"] == 3);
    CHECK(figures["files"]["bits"]["8"] == 3);
}

TEST_CASE("data import by patient leaks nothing, and the seed decides") {
    const ChildSandbox box;
    const auto import = [&](const std::string& out, const std::string& seed) {
        return box
            .run({"data", "import", "childcxr", "chest_xray", "--split", "patient", "--val", "0", "--test",
                  "0.4", "--seed", seed, "--out", out})
            .code;
    };
    CHECK(import("a.csv", "1") == 0);
    CHECK(import("b.csv", "1") == 0);
    CHECK(import("c.csv", "5") == 0);
    CHECK(box.folder.read("a.csv") == box.folder.read("b.csv"));
    CHECK(box.folder.read("a.csv") != box.folder.read("c.csv"));
    CHECK(box.run({"data", "check", "a.csv", "--strict"}).code == 0);
    CHECK_THAT(box.folder.read("a.csv"), Contains(",test\n"));
}

TEST_CASE("data import says which flags do not fit, and writes over nothing") {
    const ChildSandbox box;
    const auto error = [&](std::vector<std::string> words, int code) {
        words.insert(words.begin(), {"data", "import"});
        const auto outcome = box.run(words);
        CHECK(outcome.code == code);
        return outcome.err;
    };
    CHECK_THAT(error({"childcxr", "chest_xray"}, 2), Contains("found no --out"));
    CHECK_THAT(error({"childcxr", "chest_xray", "--out", "films/manifest.csv"}, 2), Contains("exists already"));
    CHECK_THAT(error({"chexprt", "chest_xray", "--out", "a.csv"}, 2), Contains("did you mean 'chexpert'"));
    CHECK_THAT(error({"childcxr", "chest_xray", "--uncertain", "ones", "--out", "a.csv"}, 2),
               Contains("no uncertain labels"));
    CHECK_THAT(error({"childcxr", "chest_xray", "--patient", "(P)", "--out", "a.csv"}, 2),
               Contains("--patient"));
    CHECK_THAT(error({"siim-acr", "chest_xray", "--split", "official", "--out", "a.csv"}, 2),
               Contains("comes without one"));
    CHECK_THAT(error({"childcxr", "chest_xray", "--split", "patient", "--val", "0.5", "--test", "0.6", "--out",
                      "a.csv"},
                     2),
               Contains("nothing to train on"));
    CHECK_THAT(error({"childcxr", "nowhere", "--out", "a.csv"}, 3), Contains("nowhere: found no such folder"));
    CHECK_THAT(error({"childcxr", "chest_xray", "--view", "lateral", "--out", "a.csv"}, 3),
               Contains("--view lateral: found no such film") && Contains("frontal (12)"));
    CHECK(box.run({"data", "import", "folder", "chest_xray", "--patient", "(person[0-9]+|IM-[0-9]+)", "--out",
                   "f.csv"})
              .code == 0);
    CHECK_THAT(box.folder.read("f.csv"),
               Contains("chest_xray/test/NORMAL/IM-0005-0001.jpeg,IM-0005,NORMAL,test"));
}

TEST_CASE("data check ends with 3 for labels that are spelt in two ways") {
    const Sandbox box;
    REQUIRE(box.run({"data", "phantom", "--out", "films", "-n", "6", "--size", "32"}).code == 0);
    box.folder.write("odd.csv", "path,label\nfilms/images/00000.png,Normal\nfilms/images/00001.png,normal\n");
    const auto outcome = box.run({"data", "check", "odd.csv", "--quick"});
    CHECK(outcome.code == 3);
    CHECK_THAT(outcome.out, Contains("error: odd-label") && Contains("'normal' (1) and 'Normal' (1)"));
    CHECK_THAT(outcome.err, Contains("odd.csv: something is wrong"));
}
