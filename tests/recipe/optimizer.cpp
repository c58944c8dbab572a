// [optimizer]: the keys of a rule, its defaults, and what stays when the rule changes.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;
using test::value_at;

namespace {

/// a.toml with these lines in [optimizer].
struct With : Attempt {
    explicit With(const std::string& lines) { file("a.toml", test::smallest + "[optimizer]\n" + lines); }
};

/// What a.toml is with these lines in [optimizer], on top of a parent with its own.
std::string merged(const std::string& parent, const std::string& lines) {
    Attempt a;
    a.file("p.toml", "[optimizer]\n" + parent).file("a.toml", "extends = \"p.toml\"\n[optimizer]\n" + lines);
    return value_at(a.tree(), {"optimizer"});
}

}  // namespace

TEST_CASE("every rule has its own keys, and they reach the typed recipe") {
    const auto sgd = With("use = \"sgd\"\nmomentum = 0.8\nnesterov = true\nclip = 1\n").load().optimizer;
    CHECK((sgd.use == "sgd" && sgd.momentum == 0.8 && sgd.nesterov && sgd.clip == 1));
    const auto lars =
        With("use = \"lars\"\nmomentum = 0.8\ntrust = 0.02\nno_decay = [\"x\"]\n").load().optimizer;
    CHECK((lars.use == "lars" && lars.momentum == 0.8 && lars.trust == 0.02 && lars.no_decay.size() == 1));
    const auto rmsprop =
        With("use = \"rmsprop\"\nmomentum = 0.8\nalpha = 0.7\neps = 0.1\ncentered = true\n").load().optimizer;
    CHECK((rmsprop.use == "rmsprop" && rmsprop.momentum == 0.8 && rmsprop.alpha == 0.7 && rmsprop.eps == 0.1 &&
           rmsprop.centered));
    const auto adam = With("use = \"adam\"\nbetas = [0.0, 0.9]\neps = 0.1\n").load().optimizer;
    CHECK((adam.use == "adam" && adam.beta1 == 0 && adam.beta2 == 0.9 && adam.eps == 0.1));
}

TEST_CASE("where a recipe is silent a rule has its own defaults") {
    const auto of = [](const std::string& rule) { return With("use = \"" + rule + "\"\n").load().optimizer; };
    const Progress start;
    CHECK((of("adamw").lr(start) == 5e-4 && of("adamw").weight_decay(start) == 0.05));
    CHECK((of("adam").lr(start) == 1e-3 && of("adam").weight_decay(start) == 0 && of("adam").beta2 == 0.999));
    CHECK((of("sgd").lr(start) == 1e-3 && of("sgd").weight_decay(start) == 0 && of("sgd").momentum == 0));
    CHECK((of("lars").lr(start) == 0.2 && of("lars").momentum == 0.9 && of("lars").trust == 0.001));
    CHECK((of("rmsprop").lr(start) == 1e-2 && of("rmsprop").alpha == 0.99 && of("rmsprop").momentum == 0));
    for (const auto* rule : {"adamw", "adam", "sgd", "lars", "rmsprop"})
        CHECK((of(rule).lr_batch == 256 && of(rule).clip == 3));
    CHECK(Attempt().file("a.toml", test::smallest).load().optimizer.use == "adamw");
}

TEST_CASE("a key of another rule is an error that says which rules have it") {
    CHECK_THAT(With("momentum = 0.9\n").error(),
               Contains("a.toml:7:1: optimizer.momentum: 'adamw' has no momentum; sgd, lars and rmsprop do"));
    CHECK_THAT(With("use = \"sgd\"\nbetas = [0.9, 0.99]\ntrust = 1\neps = 0\n").error(),
               Contains("optimizer.betas: 'sgd' has no betas; adamw and adam do") &&
                   Contains("optimizer.trust: 'sgd' has no trust; lars does") &&
                   Contains("optimizer.eps: 'sgd' has no eps; adamw, adam and rmsprop do"));
    CHECK_THAT(
        With("use = \"lars\"\n").error({"optimizer.nesterov=true"}),
        Contains("argument 'optimizer.nesterov=true': optimizer.nesterov: 'lars' has no nesterov; sgd does"));
}

TEST_CASE("a wrong rule is one mistake, whatever keys it has, and a wrong key is told from those of the rule") {
    const auto error = With("use = \"sdg\"\nmomentum = 0.9\nbetas = [0.9, 0.99]\n").error();
    CHECK_THAT(error,
               Contains("optimizer.use: found \"sdg\", expected one of adamw, adam, sgd, lars, rmsprop (did "
                        "you mean 'sgd'?)"));
    CHECK_THAT(error, !Contains("momentum") && !Contains("betas"));
    CHECK_THAT(With("use = \"sgd\"\nmomentun = 0.9\n").error(), Contains("optimizer.momentun: unknown key") &&
                                                                    Contains("(did you mean 'momentum'?)") &&
                                                                    !Contains("centered"));
}

TEST_CASE("Nesterov's step needs a momentum") {
    CHECK_THAT(With("use = \"sgd\"\nnesterov = true\n").error(),
               Contains("a.toml:8:1: optimizer.nesterov: found true without a momentum, expected "
                        "optimizer.momentum above 0"));
}

TEST_CASE("another rule keeps the keys that every rule has, and none of the old rule's own") {
    CHECK(merged("use = \"adamw\"\nlr = 1\nbetas = [0.9, 0.95]\nclip = 2\neps = 1\nfreeze = [\"x\"]",
                 "use = \"sgd\"\nmomentum = 0.9") ==
          "{ use = \"sgd\", lr = 1, clip = 2, freeze = [\"x\"], momentum = 0.9 }");
    CHECK(merged("lr = { shape = \"cosine\", from = 1.0, to = 0.0 }\nbetas = [0.9, 0.95]",
                 "use = \"rmsprop\"\nlr = { from = 2.0 }\neps = 1") ==
          "{ lr = { shape = \"cosine\", from = 2.0, to = 0.0 }, use = \"rmsprop\", eps = 1 }");
    CHECK(merged("use = \"sgd\"\nmomentum = 0.9", "use = \"lars\"") == "{ use = \"lars\" }");
    // The same rule, written or not, is no other.
    CHECK(merged("betas = [0.9, 0.95]", "use = \"adamw\"") == "{ betas = [0.9, 0.95], use = \"adamw\" }");
    CHECK(merged("use = \"sgd\"\nmomentum = 0.9", "use = \"sgd\"\nlr = 1") ==
          "{ use = \"sgd\", momentum = 0.9, lr = 1 }");
    // A misspelt key or rule goes on, to be reported.
    CHECK(merged("beta = 1", "use = \"sgd\"") == "{ beta = 1, use = \"sgd\" }");
    CHECK(merged("betas = [0.9, 0.95]", "use = \"sdg\"") == "{ betas = [0.9, 0.95], use = \"sdg\" }");
}

TEST_CASE("a fragment changes the rule as a child does") {
    With a("betas = [0.9, 0.95]\nlr = 1\n");
    a.file("mine.toml", "[optimizer]\nuse = \"sgd\"\n");
    Reading reading;
    reading.with = {a.folder / "mine.toml"};
    CHECK(value_at(load_tree(a.folder / "a.toml", reading), {"optimizer"}) == "{ lr = 1, use = \"sgd\" }");
}

TEST_CASE("an override that changes the rule says what it took away") {
    With a("lr = 1\nbetas = [0.9, 0.95]\neps = 1e-6\n");
    const auto recipe = a.load({"optimizer.use=sgd", "optimizer.momentum=0.9"});
    CHECK(value_at(recipe.tree, {"optimizer"}) == "{ lr = 1, use = \"sgd\", momentum = 0.9 }");
    REQUIRE(recipe.notes.size() == 1);
    CHECK(recipe.notes[0] ==
          "argument 'optimizer.use=sgd': optimizer was adamw, whose own keys do not go on to another rule: "
          "betas, "
          "eps; write what it needs after it, as optimizer.KEY=VALUE");
    CHECK(a.load({"optimizer.use=adamw"}).notes.empty());
    CHECK(With("lr = 1\n").load({"optimizer.use=sgd"}).notes.empty());
    CHECK_THAT(a.error({"optimizer.use=3"}), Contains("optimizer.use"));
}

TEST_CASE("a phase or a stage that names no rule has the recipe's, when a child or an override changes it") {
    const std::string list = GENERATE(as<std::string>(), "phase", "stage");
    const auto entry = [&](const std::string& optimizer) {
        return "[[" + list + "]]\nname = \"x\"\noptimizer = { " + optimizer + " }\n";
    };
    const auto parent = test::smallest + "[optimizer]\nuse = \"sgd\"\n";
    const auto own = [&](Attempt& a, const std::vector<std::string>& overrides = {}) {
        return value_at(a.tree(overrides).find(list)->array().front().table(), {"optimizer"});
    };
    const auto child = [&](const std::string& before, const std::string& after) {
        Attempt a;
        a.file("p.toml", parent + entry(before)).file("a.toml", "extends = \"p.toml\"\n" + entry(after));
        return own(a);
    };
    CHECK(child("momentum = 0.5", "use = \"sgd\", lr = 1") == "{ momentum = 0.5, use = \"sgd\", lr = 1 }");
    CHECK(child("momentum = 0.5, lr = 1", "use = \"adamw\"") == "{ lr = 1, use = \"adamw\" }");
    CHECK(child("use = \"adam\", betas = [0.0, 0.9]", "use = \"sgd\"") == "{ use = \"sgd\" }");
    Attempt a;
    a.file("a.toml", parent + entry("momentum = 0.5"));
    CHECK(own(a, {list + ".x.optimizer.use=sgd"}) == "{ momentum = 0.5, use = \"sgd\" }");
    CHECK(own(a, {list + ".x.optimizer.use=adamw"}) == "{ use = \"adamw\" }");
}
