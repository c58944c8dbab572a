// init_from: weights of a file at the start of a run.
#include "train/initial_weights.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "base/safetensors.hpp"
#include "plan/support.hpp"

namespace train_initial_weights {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

using Named = std::vector<std::pair<std::string, at::Tensor>>;

/// A student with one head and a follower; `line` is added to the student.
std::string recipe_with(const std::string& line) {
    return R"(schema = 1
[data]
source = "phantom"
size = 16
label = "abnormal"
[networks.student]
)" + line +
           R"(
backbone = { use = "vit", patch = 8, dim = 8, depth = 1, heads = 2 }
[networks.student.heads]
classify = { use = "linear", out = 2 }
[networks.teacher]
follows = "student"
[[pass]]
network = "student"
view = "image"
[[pass]]
network = "teacher"
view = "image"
[[loss]]
use = "cross-entropy"
reads = { logits = "student.logits" }
)";
}

struct Loaded {
    Attempt attempt;
    plan::Plan plan;
    std::vector<std::string> warnings;
    explicit Loaded(const Named& weights, const std::string& more = "") {
        base::write_safetensors(attempt.folder / "w.safetensors", weights, {});
        attempt.file("a.toml", recipe_with("init_from = \"w.safetensors\"" + more));
        const auto recipe = attempt.load();
        plan = plan::Plan::build(recipe, registry());
        warnings = train::load_initial_weights(recipe, plan);
    }
    at::Tensor tensor(const std::string& name) const {
        for (const auto& [found, value] : plan.state())
            if (found == name) return value;
        FAIL("found no tensor " << name);
        return {};
    }
};

/// What a run of that recipe would save, with every value 0.25.
Named weights(const std::string& network, bool heads) {
    Named out;
    const auto plan = planned(recipe_with(""));
    for (const auto& [name, tensor] : plan.state())
        if (name.starts_with("student.") && (heads || name.find(".heads.") == std::string::npos))
            out.emplace_back(network + name.substr(network.empty() ? 17 : 7),
                             at::full_like(tensor, 0.25).detach());
    return out;
}

bool is_quarter(const at::Tensor& tensor) {
    return at::all(tensor == 0.25).item<bool>();
}

}  // namespace

TEST_CASE("a network starts from a checkpoint, and its follower with it") {
    for (const auto* network : {"student", "teacher"}) {  // the only network of the file, whatever it is called
        const Loaded run(weights(network, true));
        CHECK(is_quarter(run.tensor("student.backbone.norm.bias")));
        CHECK(is_quarter(run.tensor("student.heads.classify.weight")));
        CHECK(is_quarter(run.tensor("teacher.backbone.blocks.0.attn.qkv.weight")));
        CHECK(run.warnings.empty());
    }
}

TEST_CASE("a network starts from a backbone under its own names; its heads are as drawn, which is said") {
    auto file = weights("", false);
    file.emplace_back("fc_norm.weight", at::ones({8}));
    const Loaded run(file);
    CHECK(is_quarter(run.tensor("student.backbone.norm.bias")));
    CHECK_FALSE(is_quarter(run.tensor("student.heads.classify.weight")));
    REQUIRE(run.warnings.size() == 2);
    CHECK_THAT(run.warnings[0], Contains("heads.classify") && Contains("start as drawn"));
    CHECK_THAT(run.warnings[1], Contains("nothing took fc_norm.weight"));
}

TEST_CASE("an init_from that is no file is named by its key, and the file of a run's folder with it") {
    Attempt attempt;
    attempt.file("a.toml", recipe_with(""));
    const auto refusal = [&](const std::string& named) {
        const auto recipe = attempt.load({"networks.student.init_from=" + (attempt.folder / named).string()});
        return message_of<DataError>([&] { train::expect_initial_weights(recipe); });
    };
    const auto run = (attempt.folder / "run").string();
    CHECK_THAT(refusal("run"), Contains("argument 'networks.student.init_from=" + run +
                                        "': networks.student.init_from: "
                                        "found no file " +
                                        run + ", expected a safetensors file"));
    attempt.folder.write("run/checkpoints/last.safetensors", "no tensors");
    CHECK_THAT(refusal("run"), Contains("found the folder " + run + ", expected a safetensors file") &&
                                   Contains("that of this folder is " + run + "/checkpoints/last.safetensors"));
    const auto recipe = attempt.load({"networks.student.init_from=" + run + "/checkpoints/last.safetensors"});
    auto plan = plan::Plan::build(recipe, registry());
    CHECK_THAT(message_of<DataError>([&] { train::load_initial_weights(recipe, plan); }),
               Contains(": networks.student.init_from: ") && Contains("not a safetensors file"));
}

TEST_CASE("weights that do not fit are refused with what is missing") {
    auto file = weights("", false);
    std::erase_if(file, [](const auto& item) { return item.first == "norm.bias"; });
    CHECK_THAT(message_of<RecipeError>([&] { Loaded run(file); }), Contains("has no backbone.norm.bias"));

    file = weights("", false);
    for (auto& [name, tensor] : file)
        if (name == "pos_embed") tensor = at::zeros({1, 10, 8});
    CHECK_THAT(message_of<RecipeError>([&] { Loaded run(file); }),
               Contains("'pos_embed' as [1, 10, 8], expected [1, 5, 8]") &&
                   Contains("it reads 'image' (B 1 16 16, by data.size)"));

    file = weights("a", false);
    for (auto& item : weights("b", false)) file.push_back(item);
    CHECK_THAT(message_of<RecipeError>([&] { Loaded run(file); }),
               Contains("holds the networks a, b") && Contains("say which with init_network = \"a\""));
}

TEST_CASE(
    "a file of another image size is refused with what decides the size: here an augment, not data.size") {
    Attempt attempt;
    base::write_safetensors(attempt.folder / "w.safetensors", weights("", false), {});
    auto text = recipe_with("init_from = \"w.safetensors\"");
    const std::string view = "view = \"image\"";
    for (auto at = text.find(view); at != std::string::npos; at = text.find(view))
        text.replace(at, view.size(), "view = \"global\"");
    attempt.file("a.toml", text +
                               "[[augment]]\nuse = \"multi-crop\"\nglobal_crops = 1\nglobal_size = 32\n"
                               "local_crops = 0\n");
    const auto recipe = attempt.load();
    auto plan = plan::Plan::build(recipe, registry());
    CHECK_THAT(message_of<RecipeError>([&] { train::load_initial_weights(recipe, plan); }),
               Contains("'pos_embed' as [1, 5, 8], expected [1, 17, 8]") &&
                   Contains("it reads 'global' (B 1 32 32, by augment.multi-crop.global_size)"));

    attempt.file("b.toml",
                 "extends = \"a.toml\"\ndrop.augment = \"multi-crop\"\n[[augment]]\nuse = \"multi-crop\"\n"
                 "global_crops = 1\nlocal_crops = 0\n");
    const auto usual = recipe::load(attempt.folder / "b.toml");
    auto usual_plan = plan::Plan::build(usual, registry());
    CHECK_THAT(
        message_of<RecipeError>([&] { train::load_initial_weights(usual, usual_plan); }),
        Contains("(B 1 224 224, by an option of augment.multi-crop that has its default, see `hearth plugins "
                 "show multi-crop`)"));
}

TEST_CASE("weights that are no numbers are refused where they are read") {
    auto file = weights("", false);
    for (auto& [name, tensor] : file)
        if (name == "norm.bias") tensor.view(-1)[1] = std::nan("");
    CHECK_THAT(message_of<DataError>([&] { Loaded run(file); }),
               Contains("w.safetensors: 'norm.bias' holds 1 of 8 values that are not a number or infinite") &&
                   Contains("take an earlier checkpoint"));
}

TEST_CASE("init_network picks one of the networks of a file, also where another has the same name") {
    auto file = weights("student", false);
    for (auto& [name, tensor] : file) tensor = at::zeros_like(tensor);
    for (auto& item : weights("teacher", false)) file.push_back(item);
    const Loaded run(file, "\ninit_network = \"teacher\"");
    CHECK(is_quarter(run.tensor("student.backbone.norm.bias")));
    CHECK(is_quarter(run.tensor("teacher.backbone.norm.bias")));
    const Loaded without(file);
    CHECK_FALSE(is_quarter(without.tensor("student.backbone.norm.bias")));

    CHECK_THAT(
        message_of<RecipeError>([&] { Loaded wrong(file, "\ninit_network = \"techer\""); }),
        Contains("a.toml:8:1: networks.student.init_network:") &&
            Contains("holds no network 'techer', expected one of student, teacher (did you mean 'teacher'?)"));
    CHECK_THAT(
        message_of<RecipeError>([&] { Loaded wrong(weights("", false), "\ninit_network = \"teacher\""); }),
        Contains("holds no network 'teacher' but a backbone under its own names: remove init_network"));
}

TEST_CASE("a checkpoint fills the whole plan, and one of other plugins is refused with what to do") {
    auto plan = planned(recipe_with(""));
    base::SafeTensors saved;
    for (const auto& [name, tensor] : plan.state())
        saved.tensors.emplace_back(name, at::full_like(tensor, 0.25).detach());
    plan.load(saved, "runs/a/last.safetensors");
    for (const auto& [name, tensor] : plan.state()) CHECK(is_quarter(tensor));

    auto older = saved;
    std::erase_if(older.tensors, [](const auto& item) { return item.first == "student.heads.classify.bias"; });
    CHECK_THAT(
        message_of<DataError>([&] { plan.load(older, "runs/a/last.safetensors"); }),
        Contains("runs/a/last.safetensors: found no tensor 'student.heads.classify.bias'; the plugins are "
                 "not those of the run") &&
            Contains("the README of the plugin says how it reads older checkpoints"));
    auto wider = saved;
    for (auto& [name, tensor] : wider.tensors)
        if (name == "student.heads.classify.bias") tensor = at::zeros({3});
    CHECK_THAT(message_of<DataError>([&] { plan.load(wider, "last"); }),
               Contains("last: found 'student.heads.classify.bias' as [3], expected [2]"));
}

}  // namespace train_initial_weights
