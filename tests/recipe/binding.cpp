// Raw options against a schema.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;

namespace {

Schema schema() {
    Schema out;
    out.boolean("flag", true);
    out.integer("count", 4).range(1, 10);
    out.integer("images", 8).range(1, 64).or_word("auto", 0);
    out.number("rate", 0.5).range(0, 10).schedulable();
    out.number("fixed", 0.5).range(0, 1);
    out.text("mode", "a").choices({"alpha", "beta", "a"});
    out.integers("edges", {16, 64}).size(2).range(1, 224);
    out.numbers("levels", {0.5});
    out.texts("words", {});
    out.text("file", "").path();
    out.texts("files", {}).path();
    return out;
}

struct Bound {
    Options options;
    std::string problems;
};

/// `text`, the body of the table `loss.x`, bound to the schema above.
Bound bound(const std::string& text) {
    Attempt a;
    a.file("a.toml", "[data]\n" + text);
    const auto tree = a.tree();
    Diagnostics problems;
    Bound out{bind_options(tree.find("data")->table(), schema(), "loss.x", {}, problems), ""};
    for (const auto& message : problems.messages()) out.problems += a.shortened(message) + "\n";
    return out;
}

}  // namespace

TEST_CASE("what is not given is at its default") {
    const auto [options, problems] = bound("");
    CHECK(problems.empty());
    CHECK(options.integer("count") == 4);
    CHECK(options.integers("edges") == std::vector<std::int64_t>{16, 64});
}

TEST_CASE("values of every type are bound") {
    const auto [options, problems] = bound(
        "flag = false\ncount = 7\nrate = 2\nfixed = 1\nmode = \"beta\"\nedges = [8, 32]\nlevels = [1, "
        "2.5]\nwords = "
        "[\"x\"]\n");
    CHECK(problems.empty());
    CHECK_FALSE(options.boolean("flag"));
    CHECK(options.integer("count") == 7);
    CHECK(options.number("rate") == 2.0);  // an integer is a number
    CHECK(options.text("mode") == "beta");
    CHECK(options.integers("edges") == std::vector<std::int64_t>{8, 32});
    CHECK(options.numbers("levels") == std::vector<double>{1, 2.5});
    CHECK(options.texts("words") == std::vector<std::string>{"x"});
}

TEST_CASE("a number is no integer, even a whole one") {
    CHECK(bound("count = 3.0").problems ==
          "a.toml:2:1: loss.x.count: found number 3.0, expected an integer (write 3)\n");
    CHECK(bound("count = 3.5").problems == "a.toml:2:1: loss.x.count: found number 3.5, expected an integer\n");
    CHECK_THAT(bound("edges = [8, 16.0]").problems,
               Contains("a.toml:2:13: loss.x.edges.1: found number 16.0") && Contains("(write 16)"));
}

TEST_CASE("a wrong type says what was found and expected") {
    CHECK(bound("  flag = 1").problems == "a.toml:2:3: loss.x.flag: found integer 1, expected true or false\n");
    CHECK(bound("count = \"7\"").problems ==
          "a.toml:2:1: loss.x.count: found text \"7\", expected an integer\n");
    CHECK_THAT(bound("rate = true").problems, Contains("found boolean true, expected a number or a schedule"));
    CHECK_THAT(bound("mode = 1").problems, Contains("found integer 1, expected a text"));
    CHECK_THAT(bound("words = \"x\"").problems, Contains("found text \"x\", expected a list of texts"));
    CHECK_THAT(bound("words = [1]").problems, Contains("loss.x.words.0: found integer 1, expected a text"));
    CHECK_THAT(bound("rate = nan").problems, Contains("found number nan, expected a finite number"));
    CHECK_THAT(bound("levels = [inf]").problems, Contains("found number inf, expected a finite number"));
}

TEST_CASE("ranges, choices and lengths are checked") {
    CHECK(bound("count = 11").problems == "a.toml:2:1: loss.x.count: found 11, expected between 1 and 10\n");
    CHECK_THAT(bound("edges = [8, 300]").problems,
               Contains("a.toml:2:1: loss.x.edges: found") && Contains("expected between 1 and 224"));
    CHECK_THAT(bound("edges = [8]").problems, Contains("found 1 entries, expected 2"));
    CHECK_THAT(bound("mode = \"alhpa\"").problems,
               Contains("expected one of alpha, beta, a (did you mean 'alpha'?)"));
}

TEST_CASE("an unknown key comes with the nearest name") {
    CHECK_THAT(bound("cuont = 3").problems,
               Contains("a.toml:2:1: loss.x.cuont: unknown key, expected one of flag, count,") &&
                   Contains("(did you mean 'count'?)"));
}

TEST_CASE("an option that is required and not given is an error with its line of documentation") {
    Schema needed;
    needed.integer("clusters", 0).required().doc("number of clusters");
    Diagnostics problems;
    bind_options({}, needed, "head.bank", {"a.toml", 4, 2}, problems);
    REQUIRE(problems.messages().size() == 1);
    CHECK_THAT(problems.messages()[0],
               Contains("a.toml:4:2: head.bank.clusters: missing, expected integer (number of clusters)"));
}

TEST_CASE("all problems of a table are reported") {
    const auto problems = bound("cuont = 1\nflag = 1\nmode = \"x\"\ncount = 99").problems;
    CHECK(std::count(problems.begin(), problems.end(), '\n') == 4);
}

TEST_CASE("a number that may change takes a schedule") {
    const auto shape = [](const std::string& text) { return bound("rate = " + text).options.schedule("rate"); };
    const Progress end{100, 100, 10}, fourth_epoch{35, 100, 10};
    const auto cosine = shape("{ shape = \"cosine\", from = 4, to = 1.0, warmup = 2, start = 0.5 }");
    CHECK(cosine(Progress{0, 100, 10}) == 0.5);
    CHECK(cosine(end) == 1.0);
    CHECK(cosine.warmup == 2);
    CHECK(shape("{ shape = \"linear\", from = 4, to = 1 }")(end) == 1.0);
    CHECK(shape("{ shape = \"constant\", from = 4 }")(end) == 4.0);
    const auto steps = shape("{ shape = \"steps\", at = [3, 5], values = [1, 2, 3], per = \"epoch\" }");
    CHECK(steps(fourth_epoch) == 2.0);
    CHECK(steps.per_epoch);
}

TEST_CASE("a schedule's mistakes are named by key") {
    const auto problems = [](const std::string& text) { return bound("rate = " + text).problems; };
    CHECK_THAT(problems("{ shape = \"cosin\", from = 1, to = 0 }"),
               Contains("a.toml:2:10: loss.x.rate.shape: found text \"cosin\"") &&
                   Contains("(did you mean 'cosine'?)"));
    CHECK_THAT(problems("{ from = 1, to = 0 }"), Contains("a.toml:2:1: loss.x.rate.shape: missing"));
    CHECK_THAT(problems("{ shape = \"cosine\", form = 1, to = 0 }"),
               Contains("loss.x.rate.form: unknown key") && Contains("(did you mean 'from'?)") &&
                   Contains("loss.x.rate.from: missing, shape \"cosine\" needs it"));
    CHECK_THAT(problems("{ shape = \"constant\", from = 1, to = 0 }"),
               Contains("shape \"constant\" has no 'to'"));
    CHECK_THAT(problems("{ shape = \"steps\", at = [1], values = [1] }"),
               Contains("found 1 values for 1 edges in 'at', expected one value more"));
    CHECK_THAT(problems("{ shape = \"steps\", at = [2, 1], values = [1, 2, 3] }"),
               Contains("the epochs must ascend"));
    CHECK_THAT(problems("{ shape = \"cosine\", from = \"1\", to = 0 }"),
               Contains("loss.x.rate.from: found text \"1\", expected a finite number"));
    CHECK_THAT(problems("{ shape = \"linear\", from = 1, to = 0, per = \"batch\" }"),
               Contains("expected \"step\" or \"epoch\""));
    CHECK_THAT(problems("{ shape = \"linear\", from = 1, to = 0, warmup = -1 }"),
               Contains("expected 0 or more"));
    CHECK_THAT(problems("{ shape = \"linear\", from = 1, to = 11 }"), Contains("expected between 0 and 10"));
}

TEST_CASE("a number that may not change refuses a schedule") {
    CHECK(bound("fixed = { shape = \"linear\", from = 1, to = 0 }").problems ==
          "a.toml:2:1: loss.x.fixed: found a table, expected a number: this option cannot be a schedule\n");
}

TEST_CASE("a word may stand for an integer, and no other") {
    const auto [options, problems] = bound("images = \"auto\"\n");
    CHECK(problems.empty());
    CHECK(options.integer("images") == 0);
    CHECK(bound("images = 16").options.integer("images") == 16);
    CHECK_THAT(bound("images = \"max\"").problems, Contains("found \"max\", expected an integer or \"auto\""));
    CHECK_THAT(bound("images = 0").problems, Contains("expected between 1 and 64"));
}

TEST_CASE("a path option counts from the file it stands in, and must be there") {
    const auto problems = bound("file = \"nowhere.csv\"\nfiles = [\"a.toml\", \"b.toml\"]").problems;
    CHECK_THAT(problems, Contains("a.toml:2:1: loss.x.file: found \"nowhere.csv\", which is not there") &&
                             Contains("a relative path counts from the folder of this file"));
    CHECK_THAT(problems, Contains("a.toml:3:20: loss.x.files.1: found \"b.toml\""));
    CHECK_THAT(bound("file = 3").problems, Contains("loss.x.file: found integer 3, expected a text"));
    CHECK_THAT(bound("file = \"$HEARTH_NOT_SET/x\"").problems, Contains("HEARTH_NOT_SET, which is not set"));
    CHECK(bound("file = \"\"").problems.empty());
    const auto [options, none] = bound("file = \"a.toml\"\nfiles = [\"a.toml\"]");
    CHECK(none.empty());
    const std::filesystem::path file = options.text("file");
    CHECK(file.is_absolute());
    CHECK(file.filename() == "a.toml");
    CHECK(options.texts("files") == std::vector<std::string>{file.string()});
}

TEST_CASE("files of path options are put into a tree as absolute paths, others stay") {
    Attempt a;
    a.file("a.toml", "[data]\nfile = \"a.toml\"\nmode = \"a.toml\"\n");
    const auto tree = a.tree();
    const auto& options = tree.find("data")->table();
    const auto files = option_files(options, schema());
    REQUIRE(files.size() == 1);
    CHECK(files.front().key == "file");
    CHECK(files.front().written == "a.toml");
    const auto absolute = with_absolute_files(tree, files);
    CHECK(absolute.find("data")->table().find("file")->text() == files.front().path);
    CHECK(absolute.find("data")->table().find("mode")->text() == "a.toml");
}

TEST_CASE("an option is named by a message where it alone is quoted or comes first") {
    Attempt a;
    a.file("a.toml", "[data]\ncount = 3\nrate = 1\n");
    const auto tree = a.tree();
    const auto line = [&](const std::string& message) {
        const auto* named = named_option(tree.find("data")->table(), schema(), message);
        return named == nullptr ? 0 : named->origin.line;
    };
    CHECK(line("count and rate do not go together") == 2);
    CHECK(line("found 'rate' without the other") == 3);
    CHECK(line("'count' and 'rate' do not go together") == 0);
    CHECK(line("counts are odd") == 0);
    CHECK(line("'mode' has its default") == 0);
    CHECK(line("") == 0);
}

TEST_CASE("a mistake that two parts of a recipe share is told once") {
    Diagnostics problems;
    for (int i = 0; i < 2; ++i) {
        problems.add({"a.toml", 3, 1}, "there is no backbone 'vitt'");
        problems.add({"a.toml", 7, 1}, "there is no backbone 'vitt'");
    }
    CHECK(problems.messages().size() == 4);
    CHECK_THROWS_WITH(problems.throw_if_any("two mistakes"),
                      "two mistakes\n  a.toml:3:1: there is no backbone 'vitt'\n"
                      "  a.toml:7:1: there is no backbone 'vitt'");
}
