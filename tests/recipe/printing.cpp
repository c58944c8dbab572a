// A resolved recipe as TOML, and where each value came from.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using Catch::Matchers::Contains;
using test::Attempt;

namespace {

/// Three levels.
void family(Attempt& a) {
    a.file("root.toml",
           "schema = 1\n[train]\nepochs = 1\nbatch = 1\nseed = 1\nthreads = 1\n[data]\nsource = \"phantom\"\n")
        .file("base/parent.toml",
              "extends = \"../root.toml\"\n[train]\nepochs = 2\nbatch = 2\nseed = 2\n"
              "[optimizer]\nlr = { shape = \"cosine\", from = 1.0, to = 0.0 }\n"
              "[networks.student]\nbackbone = { use = \"vit\", depth = 3 }\n[networks.student.heads]\n"
              "project = { use = \"h\", out = 8 }\n[[loss]]\nuse = \"l\"\nweight = 1.0\n")
        .file("a.toml",
              "extends = \"base/parent.toml\"\n[train]\nepochs = 3\nbatch = 3\n[optimizer]\nlr = { to = 0.5 }\n"
              "[[loss]]\nuse = \"l\"\nwhere = 'a == \"b\"'\n");
}

}  // namespace

TEST_CASE("each line says which of three files, or which argument, set it") {
    Attempt a;
    family(a);
    const auto text =
        a.shortened(to_toml(a.tree({"train.epochs=4", "networks.student.backbone.depth=5"}), true));
    CHECK(text == R"(schema = 1  # root.toml:1
name = "a"  # default

[train]
epochs = 4  # argument 'train.epochs=4'
batch = 3  # a.toml:4
seed = 2  # base/parent.toml:5
threads = 1  # root.toml:6

[data]
source = "phantom"  # root.toml:8

[optimizer]
lr = { shape = "cosine", from = 1.0, to = 0.5 }  # base/parent.toml:7, a.toml:6

[networks.student.backbone]
use = "vit"  # base/parent.toml:9
depth = 5  # argument 'networks.student.backbone.depth=5'

[networks.student.heads.project]
use = "h"  # base/parent.toml:11
out = 8  # base/parent.toml:11

[[loss]]
use = "l"  # base/parent.toml:13
weight = 1.0  # base/parent.toml:14
where = 'a == "b"'  # a.toml:9
)");
}

TEST_CASE("a printed recipe loads as the same recipe, from any folder") {
    Attempt a, b;
    family(a);
    const auto tree = a.tree({"data.source=films", "loss.l.reads.x=\"y z\""});
    for (const bool origins : {false, true}) {
        b.file("a.toml", to_toml(tree, origins));
        CHECK(b.tree() == tree);
        CHECK(b.load().tree == tree);
    }
}

TEST_CASE("every kind of value survives printing") {
    Attempt a, b;
    a.file("a.toml",
           test::smallest +
               "[[augment]]\nuse = \"x\"\na = \"quote \\\" slash \\\\ line\\nend tab\\t bell\\u0007 ü\"\nb = "
               "-0.0\nc = "
               "1e300\nd = [1, [2.0, \"x\"], { y = true }]\n\"odd key\" = 1\ne = 9223372036854775807\nf = 0.1\n"
               "g = [inf, -inf]\nh = {}\nj = \"it's \\\"so\\\"\"\n");
    const auto tree = a.tree();
    b.file("a.toml", to_toml(tree, true));
    CHECK(b.tree() == tree);
    CHECK_THAT(to_toml(tree, false), Contains("\"odd key\" = 1"));
}

TEST_CASE("a line end in an argument does not break the comment it is named in") {
    Attempt a, b;
    a.file("a.toml", test::smallest);
    const auto tree = a.tree({"data.where=a\nb = 1"});
    b.file("a.toml", to_toml(tree, true));
    CHECK(b.tree() == tree);
}

TEST_CASE("a copied tree is independent of the original") {
    Attempt a;
    a.file("a.toml", test::smallest);
    const auto tree = a.tree();
    Table copy = tree;
    copy.find("data")->table().set("source", Value{std::string("changed"), {}});
    CHECK(test::value_at(tree, {"data", "source"}) == "\"phantom\"");
}

TEST_CASE("a stage survives printing, whatever is in it") {
    Attempt a, b;
    a.file("a.toml",
           test::smallest +
               "[[stage]]\nname = \"s\"\n\"odd key\" = 1\ntrain = {}\nloss = []\ndata = { size = 3 }\n"
               "optimizer = { lr = { from = 1 }, \"b.c\" = 2 }\n[[stage.stage]]\nname = "
               "\"t\"\n[[stage.stage.pass]]\n"
               "as = \"p\"\n[stage.stage.networks.n.heads.h]\nuse = \"h\"\n[[stage]]\n[[stage.phase]]\nx = { y "
               "= 1 }\n");
    const auto tree = a.tree();
    b.file("a.toml", to_toml(tree, true));
    CHECK(b.tree() == tree);
}
