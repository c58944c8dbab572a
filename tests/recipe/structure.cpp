// Networks, passes and components as the plan receives them.
#include "recipe/support.hpp"

using namespace hearth;
using namespace hearth::recipe;
using test::Attempt;
using test::value_at;

namespace {

Recipe loaded(const std::string& text) {
    Attempt a;
    a.file("a.toml", text);
    return a.load();
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the smallest recipe has every section at its defaults") {
    const auto recipe = loaded(test::smallest);
    CHECK(recipe.name == "a");
    CHECK(recipe.data.size == 224);
    CHECK(recipe.train.epochs == 100);
    CHECK(recipe.optimizer.lr(Progress{}) == 5e-4);
    CHECK(recipe.optimizer.clip == 3.0);
    CHECK(recipe.monitor.on_nan == "stop");
    CHECK_FALSE(recipe.probe);
    CHECK_FALSE(recipe.eval);
}

TEST_CASE("a component's own words are taken out, the rest is left to its schema") {
    const auto recipe =
        loaded(test::smallest +
               "[[loss]]\nuse = \"restoration\"\nname = \"r\"\nweight = { shape = \"linear\", from = 0, "
               "to = 2 }\nreads = { mask = \"m\" }\nwrites = { map = \"n\" }\nabnormal_weight = 2\n");
    const auto& loss = recipe.losses.at(0);
    CHECK(loss.use == "restoration");
    CHECK(loss.name == "r");
    CHECK(loss.weight(Progress{10, 10, 1}) == 2.0);
    CHECK(loss.reads.at("mask") == "m");
    CHECK(loss.writes.at("map") == "n");
    CHECK(loss.options.keys() == Names{"abnormal_weight"});
    CHECK(loss.origin.line == 6);
}

TEST_CASE("only a loss has a weight: elsewhere it is an option") {
    const auto recipe =
        loaded(test::smallest + "[[augment]]\nuse = \"x\"\nweight = 3\n[[head]]\nuse = \"y\"\nweight = 4\n");
    CHECK(value_at(recipe.augments.at(0).options, {"weight"}) == "3");
    CHECK(value_at(recipe.heads.at(0).options, {"weight"}) == "4");
}

TEST_CASE("a follower has the heads it lists and its own extra ones") {
    const auto recipe =
        loaded(test::smallest +
               "[networks.student.heads]\none = { use = \"h\", out = 3 }\ntwo = { use = \"h\" }\n"
               "[networks.teacher]\nfollows = \"student\"\nheads = [\"one\"]\nmomentum = 0.9\nupdate = "
               "\"before_forward\"\n[networks.teacher.extra_heads]\nbank = { use = \"b\" }\n");
    const auto* student = recipe.network("student");
    CHECK(student->backbone->use == "vit");
    REQUIRE(student->heads.size() == 2);
    CHECK(student->heads[0].name == "one");
    CHECK(value_at(student->heads[0].options, {"out"}) == "3");
    const auto* teacher = recipe.network("teacher");
    CHECK_FALSE(teacher->backbone);
    CHECK(teacher->shared_heads == Names{"one"});
    CHECK(teacher->heads.at(0).name == "bank");
    CHECK(teacher->momentum(Progress{}) == 0.9);
    CHECK(teacher->update == "before_forward");
}

TEST_CASE("a follower that lists no heads has all of its leader's") {
    const auto recipe = loaded(
        "schema = 1\n[networks.key]\nfollows = \"query\"\n[networks.query]\nbackbone = { use = \"vit\" }\n"
        "heads.one = { use = \"h\" }\n[data]\nsource = \"phantom\"\n");
    CHECK(recipe.network("key")->shared_heads == Names{"one"});
}

TEST_CASE("a pass has all heads unless it lists some") {
    const auto recipe = loaded(test::smallest +
                               "heads.one = { use = \"h\" }\n[[pass]]\nnetwork = \"student\"\nview = \"x\"\n"
                               "[[pass]]\nnetwork = \"student\"\nview = \"y\"\nas = \"plain\"\nheads = []\n");
    CHECK(recipe.passes.at(0).as == "student");
    CHECK_FALSE(recipe.passes[0].heads);
    CHECK(recipe.passes.at(1).heads == Names{});
}

TEST_CASE("every key of a section arrives") {
    const auto recipe = loaded(R"(schema = 1
[networks.s]
backbone = { use = "vit" }
frozen = true
[data]
source = "phantom"
where = "w"
phantom_count = 2
phantom_seed = 3
phantom_lesions = 0.5
size = 32
channels = 3
fit = "pad"
workers = 4
prefetch = 5
cache = "none"
max_pixels = 6
max_bad = 0.25
[train]
epochs = 2
batch = 3
accumulate = 4
seed = 5
threads = 6
log_every = 7
checkpoint_every = 8
precision = "fp32"
device = "cuda:1"
[optimizer]
use = "adamw"
lr = 1
weight_decay = 2
lr_batch = 3
betas = [0.1, 0.2]
eps = 0.3
clip = 4
clip_mode = "global"
freeze = ["f"]
freeze_epochs = 5
no_decay = ["d"]
[monitor]
features = "f"
assignments = "a"
collapse_if = ["kl < 0.01", "top1>1e3"]
on_collapse = "stop"
on_nan = "warn"
min_rank = 1
min_std = 2
min_entropy = 0.5
patience = 4
[probe]
source = "phantom"
train_where = "a"
test_where = "b"
label = "c"
positive = "d"
negative = "e"
patient = "f"
every = 1
k = 2
features = "mean"
limit = 3
phantom_count = 4
phantom_seed = 5
)");
    CHECK(recipe.network("s")->frozen);
    const auto& data = recipe.data;
    CHECK((data.where == "w" && data.phantom_count == 2 && data.phantom_seed == 3 &&
           data.phantom_lesions == 0.5));
    CHECK((data.size == 32 && data.channels == 3 && data.fit == "pad" && data.workers == 4 &&
           data.prefetch == 5));
    CHECK((data.cache == "none" && data.max_pixels == 6 && data.max_bad == 0.25));
    const auto& train = recipe.train;
    CHECK((train.epochs == 2 && train.batch == 3 && train.accumulate == 4 && train.seed == 5 &&
           train.threads == 6));
    CHECK((train.log_every == 7 && train.checkpoint_every == 8 && train.precision == "fp32" &&
           train.device == "cuda:1"));
    const auto& optimizer = recipe.optimizer;
    CHECK((optimizer.lr.from == 1 && optimizer.weight_decay.from == 2 && optimizer.lr_batch == 3));
    CHECK((optimizer.beta1 == 0.1 && optimizer.beta2 == 0.2 && optimizer.eps == 0.3 && optimizer.clip == 4));
    CHECK((optimizer.clip_mode == "global" && optimizer.freeze == Names{"f"} && optimizer.freeze_epochs == 5));
    CHECK(optimizer.no_decay == Names{"d"});
    const auto& monitor = recipe.monitor;
    CHECK((monitor.features == "f" && monitor.assignments == "a" && monitor.on_collapse == "stop"));
    CHECK((monitor.on_nan == "warn" && monitor.min_rank == 1 && monitor.min_std == 2 &&
           monitor.min_entropy == 0.5));
    CHECK(monitor.patience == 4);
    REQUIRE(monitor.collapse_if.size() == 2);
    const auto &low = monitor.collapse_if[0], &high = monitor.collapse_if[1];
    CHECK((low.term == "kl" && low.below && low.bound == 0.01));
    CHECK((high.term == "top1" && !high.below && high.bound == 1000));
    const auto& probe = *recipe.probe;
    CHECK((probe.train_where == "a" && probe.test_where == "b" && probe.label == "c" && probe.positive == "d"));
    CHECK((probe.negative == "e" && probe.patient == "f" && probe.every == 1 && probe.k == 2 &&
           probe.limit == 3));
    CHECK((probe.features == "mean" && probe.phantom_count == 4 && probe.phantom_seed == 5));
}
