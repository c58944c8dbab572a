// [probe] and [eval]: what they may ask for.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;

namespace {

/// A student, its follower and a network without a backbone; `more` is the content of [eval], which starts in
/// line 11.
struct Evaluating : Attempt {
    explicit Evaluating(const std::string& more) {
        file("a.toml", test::smallest + R"([networks.teacher]
follows = "student"
[networks.extra]
heads = { score = { use = "linear" } }
[eval]
)" + more);
    }
};

}  // namespace

TEST_CASE("without a word the probes are linear and k-NN, of the first trained network") {
    const auto eval = Evaluating("label = \"x\"\n").load().eval;
    REQUIRE(eval);
    CHECK(eval->probes == std::vector<std::string>{"linear", "knn"});
    CHECK(eval->network.empty());
    CHECK(eval->has_probe("knn"));
    CHECK_FALSE(eval->has_probe("attentive"));
    CHECK_THAT(eval->place("label").text(), Contains("a.toml:11:1"));
    CHECK_THAT(eval->place("probe").text(), Contains("a.toml:10:1"));  // the section's
}

TEST_CASE("probes are a word or several, in a recipe and as an argument") {
    CHECK(Evaluating("probe = \"attentive\"\n").load().eval->probes == std::vector<std::string>{"attentive"});
    CHECK(Evaluating("").load({"eval.probe=attentive"}).eval->probes == std::vector<std::string>{"attentive"});
    CHECK(Evaluating("").load({"eval.probe=knn, attentive"}).eval->probes ==
          std::vector<std::string>{"knn", "attentive"});
}

TEST_CASE("probes that there are not are refused") {
    CHECK(Evaluating("probe = \"linear, atentive\"\n").error() ==
          "a.toml: a mistake in the recipe\n  a.toml:11:1: eval.probe: found \"atentive\", expected one or "
          "more of "
          "linear, knn, attentive (did you mean 'attentive'?)");
    CHECK_THAT(
        Evaluating("probe = \"\"\n").error(),
        Contains("a.toml:11:1: eval.probe: found nothing, expected one or more of linear, knn, attentive"));
    CHECK_THAT(Evaluating("probe = \"knn, knn\"\n").error(), Contains("eval.probe: found \"knn\" twice"));
}

TEST_CASE("a network that is read has a backbone, a follower its leader's") {
    CHECK(Evaluating("network = \"teacher\"\n").load().eval->network == "teacher");
    CHECK_THAT(
        Evaluating("network = \"techer\"\n").error(),
        Contains("a.toml:11:1: eval.network: there is no network 'techer' with a backbone, expected one of "
                 "student, teacher (did you mean 'teacher'?)"));
    CHECK_THAT(Evaluating("network = \"extra\"\n").error(), Contains("no network 'extra' with a backbone"));
    CHECK_THAT(Evaluating("").error({"probe.network=nobody"}),
               Contains("argument 'probe.network=nobody': probe.network: there is no network 'nobody'"));
}

TEST_CASE("a head leaves nothing for a probe to do") {
    CHECK_THAT(Evaluating("head = \"student.logits\"\nprobe = \"attentive\"\n").error(),
               Contains("a.toml:12:1: eval.probe: found \"attentive\" with head = \"student.logits\", which is "
                        "evaluated instead of frozen features; remove one of them"));
    CHECK_THAT(Evaluating("head = \"student.logits\"\nnetwork = \"teacher\"\n").error(),
               Contains("a.toml:12:1: eval.network: found \"teacher\" with head"));
    CHECK(Evaluating("head = \"student.logits\"\nprobe = \"linear, knn\"\n").load().eval->head ==
          "student.logits");
}

TEST_CASE("masks are those of a head") {
    CHECK_THAT(Evaluating("mask = \"m\"\n").error(),
               Contains("a.toml:11:1: eval.mask: found \"m\" without head, expected the logits"));
}

TEST_CASE("a region has features of its tokens and no attention over all of them") {
    CHECK(Evaluating("region = \"m\"\nfeatures = \"mean\"\n").load().eval->region == "m");
    CHECK(Evaluating("region = \"m\"\n").load().eval->features.empty());
    CHECK_THAT(
        Evaluating("region = \"m\"\nfeatures = \"cls+mean\"\n").error(),
        Contains("a.toml:12:1: eval.features: found \"cls+mean\" with region = \"m\", expected \"mean\""));
    CHECK_THAT(
        Evaluating("features = \"means\"\n").error(),
        Contains("a.toml:11:1: eval.features: found \"means\", expected one of cls, mean, cls+mean, or \"\"") &&
            Contains("(did you mean 'mean'?)"));
    CHECK_THAT(
        Evaluating("region = \"m\"\nfeatures = \"mean\"\nprobe = \"knn, attentive\"\n").error(),
        Contains("a.toml:13:1: eval.probe: found attentive with region = \"m\", expected linear, knn or both"));
    CHECK_THAT(Evaluating("head = \"student.logits\"\nregion = \"m\"\nfeatures = \"mean\"\n").error(),
               Contains("a.toml:12:1: eval.region: found \"m\" with head"));
}

TEST_CASE("folds divide the rows of train_where and leave no other test rows") {
    CHECK(Evaluating("folds = 5\n").load().eval->folds == 5);
    CHECK_THAT(Evaluating("folds = 1\n").error(),
               Contains("a.toml:11:1: eval.folds: found 1, expected 0 (none) or at least 2"));
    CHECK_THAT(Evaluating("folds = 5\ntest_where = 'a == 1'\n").error(),
               Contains("a.toml:12:1: eval.test_where: found 'a == 1' with folds = 5, expected \"\""));
    CHECK_THAT(Evaluating("folds = 5\nfraction = 0.1\n").error(),
               Contains("a.toml:12:1: eval.fraction: found 0.1 with folds = 5, expected one of them"));
    CHECK_THAT(Evaluating("folds = 5\n").error({"data.folds=5", "data.label=x"}),
               Contains("eval.folds: found 5 with data.folds = 5, expected one of them"));
    CHECK_THAT(
        Evaluating("head = \"student.logits\"\nfolds = 5\n").error(),
        Contains("a.toml:12:1: eval.folds: found 5 with head") && Contains("data.folds = 5, data.label"));
}

TEST_CASE("several labels have no positive value, and no column twice") {
    CHECK_THAT(Evaluating("label = \"a, b\"\npositive = \"1\"\n").error(),
               Contains("a.toml:12:1: eval.positive: found \"1\" with 2 label columns, expected none"));
    CHECK_THAT(Evaluating("label = \"a, b, a\"\n").error(),
               Contains("a.toml:11:1: eval.label: found column 'a' twice"));
}

TEST_CASE("init_network says which network of the file of init_from") {
    Attempt a;
    a.file("a.toml", test::smallest + "init_from = \"w.safetensors\"\ninit_network = \"teacher\"\n");
    CHECK(a.load().network("student")->init_network == "teacher");
    CHECK_THAT(Attempt().file("a.toml", test::smallest + "init_network = \"teacher\"\n").error(),
               Contains("a.toml:6:1: networks.student.init_network: found \"teacher\" without init_from"));
    CHECK_THAT(
        Attempt()
            .file("a.toml",
                  test::smallest + "[networks.teacher]\nfollows = \"student\"\ninit_network = \"student\"\n")
            .error(),
        Contains("a.toml:8:1: networks.teacher.init_network: a follower has the init_network of 'student'"));
}
