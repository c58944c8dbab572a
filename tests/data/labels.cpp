// Labels from columns as data sets write them.
#include "data/labels.hpp"

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "eval/memory_dataset.hpp"
#include "recipe/word_list.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::data;
using Catch::Matchers::Contains;
using test::MemoryDataset;
using test::message_of;

namespace {

using Ints = std::vector<int>;
using Texts = std::vector<std::string>;

LabelRule rule(const std::string& positive = "", const std::string& uncertain = "ignore",
               const std::string& blank = "ignore") {
    LabelRule made;
    made.label = "edema";
    made.positive = positive;
    made.uncertain = uncertain;
    made.blank = blank;
    made.where = "a.toml:9";
    return made;
}

Labels labels_of(const Texts& cells, const LabelRule& with, const Texts& classes = {}) {
    return read_labels(MemoryDataset(MemoryDataset::Columns{{"edema", cells}}), with, classes);
}

std::string refusal(const Texts& cells, const LabelRule& with, const Texts& classes = {}) {
    return message_of<RecipeError>([&] { labels_of(cells, with, classes); });
}

const Texts finding = {"1.0", "0.0", "-1.0", "", "nan"};

}  // namespace

TEST_CASE("one column of 1, 0 and -1 obeys uncertain and blank, with and without positive") {
    for (const std::string positive : {"", "1", "1.0"}) {
        INFO(positive);
        CHECK(labels_of(finding, rule(positive)).of == Ints{1, 0, -1, -1, -1});
        CHECK(labels_of(finding, rule(positive, "zeros")).of == Ints{1, 0, 0, -1, -1});
        CHECK(labels_of(finding, rule(positive, "ones")).of == Ints{1, 0, 1, -1, -1});
        CHECK(labels_of(finding, rule(positive, "ignore", "zeros")).of == Ints{1, 0, -1, 0, 0});
    }
    CHECK(labels_of(finding, rule()).classes == Texts{"0", "1"});
}

TEST_CASE("one column says the same as one among several") {
    for (const std::string uncertain : {"ignore", "zeros", "ones"})
        for (const std::string blank : {"ignore", "zeros"}) {
            INFO(uncertain << ' ' << blank);
            auto both = rule("", uncertain, blank);
            both.label = "edema, copy";
            const auto several =
                read_labels(MemoryDataset(MemoryDataset::Columns{{"edema", finding}, {"copy", finding}}), both);
            const auto one = labels_of(finding, rule("", uncertain, blank));
            for (std::size_t i = 0; i < finding.size(); ++i) CHECK(several.of[2 * i] == one.of[i]);
        }
}

TEST_CASE("-1 is a value as any other where the recipe names it, and among other numbers") {
    CHECK(labels_of({"1", "0", "-1"}, rule("1, -1", "zeros")).of == Ints{1, 0, 1});
    auto named = rule("1");
    named.negative = "-1";
    CHECK(labels_of({"1", "0", "-1"}, named).of == Ints{1, -1, 0});
    CHECK(labels_of({"2", "0", "-1"}, rule()).classes == Texts{"-1", "0", "2"});
    CHECK(labels_of({"2", "0", "-1"}, rule("2")).of == Ints{1, 0, 0});
}

TEST_CASE(
    "a stray number among 0, 1 and -1 makes -1 a value: said, and refused where the recipe decides of -1") {
    const Texts stray = {"1", "0", "-1", "2", "1"};
    for (const std::string positive : {"", "1"}) {
        const auto labels = labels_of(stray, rule(positive));
        REQUIRE(labels.notes.size() == 1);
        CHECK_THAT(labels.notes[0],
                   Contains("in column 'edema' -1 is a value as any other, since the column holds "
                            "1 (2), ") &&
                       Contains("2 (1)"));
        for (const std::string word : {"zeros", "ones"}) {
            auto written = rule(positive, word);
            written.places["uncertain"] = "a.toml:11";
            CHECK_THAT(refusal(stray, written), Contains("a.toml:11: found uncertain = \"" + word + "\"") &&
                                                    Contains("the column holds 1 (2)"));
        }
    }
    auto named = rule("1, -1", "zeros");
    named.places["uncertain"] = "a.toml:11";
    CHECK_THAT(refusal({"1", "0", "-1"}, named), Contains("since `positive` or `negative` names it"));
    CHECK(labels_of({"1", "0", "-1"}, rule("1, -1")).notes.empty());
    CHECK(labels_of({"3", "0", "2"}, rule()).notes.empty());
    CHECK(labels_of({"1", "0", "-1", "x"}, rule("1", "ones")).of ==
          Ints{1, 0, 1, 0});  // a stray word decides nothing
}

TEST_CASE("the classes of training rows decide what -1 is in other rows") {
    CHECK(labels_of({"1", "0", "-1"}, rule("", "ones"), {"0", "1"}).of == Ints{1, 0, 1});
    CHECK(labels_of({"1", "0", "-1"}, rule(), {"-1", "0", "1"}).of == Ints{2, 1, 0});
}

TEST_CASE("where classes are words, zeros and ones need to be told which class is meant") {
    CHECK(labels_of({"normal", "mass", ""}, rule()).of == Ints{1, 0, -1});
    CHECK_THAT(
        refusal({"normal", "mass", ""}, rule("", "ignore", "zeros")),
        Contains(
            "a.toml:9: found blank = \"zeros\" and an empty cell in column 'edema', whose classes are mass, "
            "normal; expected positive"));
    CHECK_THAT(refusal({"normal", "mass", "-1"}, rule("", "ones")),
               Contains("found uncertain = \"ones\" and -1"));
    CHECK(labels_of({"normal", "mass", "", "-1"}, rule("mass", "ones", "zeros")).of == Ints{0, 1, 0, 1});
}

TEST_CASE("1, 1.0, blanks and words for missing make no classes of their own") {
    const auto labels = labels_of({"1", "1.0", "0", "0 ", "NULL", "1\xC2\xA0"}, rule());
    CHECK(labels.classes == Texts{"0", "1"});
    CHECK(labels.of == Ints{1, 1, 0, 0, -1, 1});
    CHECK(labels_of({"normal", "normal\xC2\xA0", "mass ", "NA"}, rule()).classes == Texts{"mass", "normal"});
    CHECK(labels_of({"grade 2", "2.0", "3"}, rule(), {"2", "3", "grade 2"}).of == Ints{2, 0, 1});
}

TEST_CASE("values that differ only in capitals are an error that lists the column, unless they are one class") {
    CHECK_THAT(
        refusal({"TRUE", "TRUE", "True", "FALSE"}, rule()),
        Contains("found 'TRUE' and 'True' for column 'edema', which differ only in capitals or blanks") &&
            Contains("the column holds TRUE (2), FALSE (1), True (1)"));
    CHECK_THAT(refusal({"True", "False"}, rule("TRUE")), Contains("found 'TRUE' and 'True'"));
    CHECK_THAT(refusal({"normal", "mass"}, rule(), {"Normal", "mass"}),
               Contains("found 'Normal' and 'normal'"));
    CHECK(labels_of({"TRUE", "True", "FALSE"}, rule("TRUE, True")).of == Ints{1, 1, 0});
    CHECK(labels_of({"mass", "Normal", "normal"}, rule("mass")).of == Ints{1, 0, 0});
}

TEST_CASE("a class without images lists what the column holds") {
    CHECK_THAT(
        refusal({"0", "1.0", "1.0", ""}, rule("yes")),
        Contains("found no image of class 'yes' in 4 images; column 'edema' holds 1.0 (2), empty (1), 0 (1)"));
    CHECK_THAT(
        refusal({"1", "", ""}, rule()),
        Contains("no image of class '0'") && Contains("count empty cells as negative: blank = \"zeros\""));
    CHECK(labels_of({"1", "", ""}, rule("", "ignore", "zeros")).of == Ints{1, 0, 0});
    CHECK_THAT(refusal({"", "nan"}, rule()), Contains("holds empty (2)"));
    CHECK_THAT(refusal({"a", "a"}, rule()), Contains("has 1 class(es)") && Contains("it holds a (2)"));
}

TEST_CASE("several labels read 1.0, missing words and blanks as one label does, and refuse words") {
    auto both = rule("", "ones", "zeros");
    both.label = "edema, mass";
    const auto read = [&](const Texts& edema, const Texts& mass) {
        return read_labels(MemoryDataset(MemoryDataset::Columns{{"edema", edema}, {"mass", mass}}), both).of;
    };
    CHECK(read({"1.0", " 0", "NaN"}, {"-1.00", "1\xC2\xA0", "0"}) == Ints{1, 1, 0, 1, 0, 0});
    CHECK_THAT(message_of<DataError>([&] { read({"yes"}, {"0"}); }), Contains("found 'yes' in column 'edema'"));
}

TEST_CASE("a column whose name holds a comma is named in double quotes") {
    auto quoted = rule();
    quoted.label = "\"opacity, other\"";
    CHECK(read_labels(MemoryDataset(MemoryDataset::Columns{{"opacity, other", {"1", "0"}}}), quoted).of ==
          Ints{1, 0});
    quoted.label = "\"opacity, other\", mass";
    const auto several = read_labels(
        MemoryDataset(MemoryDataset::Columns{{"opacity, other", {"1", "0"}}, {"mass", {"0", "1"}}}), quoted);
    CHECK(several.classes == Texts{"opacity, other", "mass"});
    CHECK(several.of == Ints{1, 0, 0, 1});
    CHECK(labels_of({"mass, left", "normal"}, rule("\"mass, left\"")).of == Ints{1, 0});
}

TEST_CASE("a class with a comma is named in double quotes, and the message shows how") {
    CHECK_THAT(refusal({"mass, left", "normal"}, rule("mass, left")),
               Contains("found no image of class 'mass, left'") &&
                   Contains("a value that holds a comma stands in double quotes: '\"mass, left\"'"));
    CHECK_THAT(refusal({"mass", "normal"}, rule("nodule")), !Contains("double quotes"));
    for (const Texts& words : {Texts{"a", "b, c"}, Texts{"\"a\""}, Texts{" a ", "b"}, Texts{"say \"a, b\""}})
        CHECK(recipe::word_list(recipe::listed(words)) == words);
    CHECK(recipe::listed({"a", "b, c"}) == "a, \"b, c\"");
}

TEST_CASE("a column of patients that is written has to be there, the default need not") {
    const MemoryDataset films({{"edema", {"1", "0"}}, {"subject", {"7", "8"}}});
    CHECK(read_labels(films, rule()).patients == Ints{0, 1});
    auto written = rule();
    written.patient = "subjet";
    written.places["patient"] = "a.toml:7";
    CHECK_THAT(message_of<RecipeError>([&] { read_labels(films, written); }),
               Contains("a.toml:7: patient: found no column 'subjet', expected one of edema, subject") &&
                   Contains("(did you mean 'subject'?)") && Contains("patient = \"\""));
    written.patient = "subject";
    CHECK_NOTHROW(read_labels(films, written));
    written.patient = "";
    CHECK(read_labels(films, written).patients == Ints{0, 1});
}

TEST_CASE("a column that is most likely the patients' is named where the default is not there") {
    const MemoryDataset films({{"edema", {"1", "0"}}, {"Patient ID", {"7", "7"}}});
    CHECK_THAT(note_on_patients(films, rule()),
               Contains("there is no column 'patient'") &&
                   Contains("write patient = \"Patient ID\" in the section of a.toml:9"));
    auto data = rule();
    data.section = "data";
    CHECK_THAT(note_on_patients(films, data), Contains("write data.patient = \"Patient ID\""));
    data.patient = "";
    CHECK(note_on_patients(films, data).empty());
    data.patient = "Patient ID";
    CHECK(note_on_patients(films, data).empty());
    CHECK(note_on_patients(MemoryDataset(MemoryDataset::Columns{{"edema", {"1"}}}), rule()).empty());
}

TEST_CASE("kinds that differ only in capitals or blanks are an error, as labels are") {
    const auto refused = [](const Texts& cells) {
        return message_of<RecipeError>([&] {
            expect_one_spelling(MemoryDataset(MemoryDataset::Columns{{"kind", cells}}), "kind",
                                "a.toml:9: kind");
        });
    };
    CHECK_THAT(refused({"TRUE", "True", ""}),
               Contains("a.toml:9: kind: found 'TRUE' and 'True' for column 'kind'") && Contains("TRUE (1)"));
    CHECK_NOTHROW(expect_one_spelling(
        MemoryDataset(MemoryDataset::Columns{{"kind", {"mass", "nodule", "1", "1.0", ""}}}), "kind", ""));
}

TEST_CASE("patients 7 and 7.0 are one, cells for missing nobody") {
    const MemoryDataset films(
        {{"edema", {"1", "0", "1", "0", "1"}}, {"patient", {"7", "7.0", "NA", "", "8 "}}});
    CHECK(read_labels(films, rule()).patients == Ints{0, 0, 1, 2, 3});
}
