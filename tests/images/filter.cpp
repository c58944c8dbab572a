#include "images/filter.hpp"

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "support/temporary_folder.hpp"

namespace images_filter {

using namespace hearth;
using namespace hearth::images;
using Catch::Matchers::Contains;

namespace {

Manifest people() {
    const test::TemporaryFolder folder;
    return read_manifest(folder.write("m.csv",
                                      "path,label,split,age,view position\n"
                                      "a,normal,train,5,PA\n"
                                      "b,normal,test,40,AP\n"
                                      "c,nodule,train,100,PA\n"
                                      "d,effusion,val,,AP\n"
                                      "e,\"say \"\"x\"\"\",train,7.50,PA\n"));
}

/// The paths of the rows that remain, as one word.
std::string kept(const std::string& where) {
    std::string paths;
    for (const Row& row : select(people(), where).rows) paths += row.cells[0];
    return paths;
}

std::string error(const std::string& where) {
    return test::message_of<RecipeError>([&] { select(people(), where); });
}

}  // namespace

TEST_CASE("a blank filter keeps every row") {
    CHECK(kept("") == "abcde");
    CHECK(kept("  \n") == "abcde");
}

TEST_CASE("texts compare for equality and in order") {
    CHECK(kept(R"(label == "normal")") == "ab");
    CHECK(kept("label != 'normal'") == "cde");
    CHECK(kept(R"("normal" == label)") == "ab");
    CHECK(kept(R"(path >= "d")") == "de");
    CHECK(kept(R"(label == 'say "x"')") == "e");
    CHECK(kept(R"(split == "Train")").empty());
}

TEST_CASE("numbers compare as numbers") {
    CHECK(kept("age < 40") == "ae");
    CHECK(kept("age <= 40") == "abe");
    CHECK(kept("age > 5") == "bce");
    CHECK(kept("age >= 100") == "c");
    CHECK(kept("age == 7.5") == "e");
    CHECK(kept("age > -1e+1") == "abce");
    CHECK(kept("40 < age") == "c");
}

TEST_CASE("a missing value satisfies no ordering and equals only the empty text") {
    CHECK(kept("age < 1000 or age >= 1000") == "abce");
    CHECK(kept(R"(age == "")") == "d");
    CHECK(kept(R"(age < "9999")") == "abce");
}

TEST_CASE("numbers compare as numbers in quotes as well, exactly where both sides are digits") {
    CHECK(kept(R"(age == "7.5")") == "e");
    CHECK(kept(R"(age == "7.50")") == "e");
    CHECK(kept(R"(age != "5.0")") == "bcde");
    CHECK(kept(R"(age < "40")") == "ae");
    const test::TemporaryFolder folder;
    const auto ids = read_manifest(
        folder.write("m.csv", "path,id\na,20000123456789012345\nb,20000123456789012346\nc,12e4\n"));
    CHECK(select(ids, R"(id == "20000123456789012345")").rows.size() == 1);
    CHECK(select(ids, R"(id == "120000")").rows.empty());
}

TEST_CASE("constants are read as cells are: blanks around them and words for missing") {
    CHECK(kept(R"(label == " normal ")") == "ab");
    CHECK(kept(R"(age == "NA")") == "d");
    CHECK(kept(R"(age != "nan")") == "abce");
}

TEST_CASE("a comparison of two constants is refused and names the column that was meant") {
    CHECK_THAT(error(R"("view position" == "PA")"),
               Contains("found a comparison of two constants") &&
                   Contains("'view position' is a column where it is written as `view position`") &&
                   Contains("(column 1)"));
    CHECK_THAT(error(R"(age > 3 and "label" == "normal")"),
               Contains("is written as label ") && Contains("(column 13)"));
    CHECK_THAT(error(R"("x" in ("x", "y"))"), Contains("two constants") && Contains("columns: path, label"));
    CHECK_THAT(error("1 < 2"), Contains("two constants"));
    CHECK(kept(R"("PA" in (`view position`, label))") == "ace");
}

TEST_CASE("lists") {
    CHECK(kept(R"(label in ("nodule", "effusion"))") == "cd");
    CHECK(kept(R"(label not in ("nodule", "effusion"))") == "abe");
    CHECK(kept("age in (5, 100)") == "ac");
}

TEST_CASE("and binds tighter than or, not tighter than both") {
    CHECK(kept(R"(label == "nodule" or label == "normal" and split == "test")") == "bc");
    CHECK(kept(R"((label == "nodule" or label == "normal") and split == "test")") == "b");
    CHECK(kept(R"(not label == "normal" and split == "train")") == "ce");
    CHECK(kept(R"(not (label == "normal" and split == "train"))") == "bcde");
    CHECK(kept(R"(not not label == "normal")") == "ab");
}

TEST_CASE("column names with blanks stand between backquotes") {
    CHECK(kept("`view position` == \"AP\"") == "bd");
}

TEST_CASE("selection keeps columns, order and file") {
    const Manifest all = people(), some = select(all, "age > 5");
    CHECK(some.columns == all.columns);
    CHECK(some.file == all.file);
    CHECK(some.rows[0].line == 3);
}

TEST_CASE("an unknown column is named with its place and the nearest one") {
    const std::string message = error(R"(age > 3 and lable == "normal")");
    CHECK_THAT(message, Contains("unknown column 'lable' (did you mean 'label'?") && Contains("(column 13)"));
    CHECK_THAT(message, Contains("\n  age > 3 and lable == \"normal\"\n              ^"));
    CHECK_THAT(error("label == normal"), Contains("quote it: \"normal\""));
    CHECK_THAT(error("label in (normal, \"mass\")"), Contains("quote it: \"normal\""));
    for (const std::string where : {"kind == \"normal\"", "kind in (\"normal\")", "kind not in (\"normal\")"})
        CHECK_THAT(error(where), Contains("unknown column 'kind'") && !Contains("quote it"));
    CHECK_THAT(error("view position == \"PA\""),
               Contains("a name with blanks stands between backquotes: `view position`"));
    CHECK_THAT(error("age == nan"), Contains("unknown column 'nan'"));
}

TEST_CASE("mistakes of grammar point at the offending character") {
    CHECK_THAT(error(R"(label = "a")"), Contains("expected '=='") && Contains("(column 7)"));
    CHECK_THAT(error(R"(age > 1 && age < 3)"), Contains("expected 'and'"));
    CHECK_THAT(error(R"(age > 1 || age < 3)"), Contains("expected 'or'"));
    CHECK_THAT(error(R"(label == "a)"), Contains("never closed") && Contains("(column 10)"));
    CHECK_THAT(error("(age > 1"), Contains("found the end, expected ')'") && Contains("(column 9)"));
    CHECK_THAT(error("age > 1 age"), Contains("found 'age', expected 'and', 'or' or the end"));
    CHECK_THAT(error("age"), Contains("expected ==, !="));
    CHECK_THAT(error("age >"), Contains("found the end, expected a column"));
    CHECK_THAT(error("age in 3"), Contains("expected '(' and a list"));
    CHECK_THAT(error("age in (3"), Contains("expected ',' or ')'"));
    CHECK_THAT(error("age > 1 and"), Contains("found the end"));
    CHECK_THAT(error("age ; 3"), Contains("unexpected character ';'"));
    CHECK_THAT(error("age > -x"), Contains("expected a number"));
    CHECK_THAT(error(std::string(5000, '(')), Contains("nested more than 100 deep"));
}

}  // namespace images_filter
