// How components find each other: by names, not by the order of the file.
#include <algorithm>
#include <map>
#include <set>

#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

using Names = std::vector<std::string>;

// The student once more, on the image it restored itself. Both passes write `restored`, so each loss says
// which.
const std::string front = R"(schema = 1
[data]
source = "phantom"
size = 32
[[augment]]
use = "slm"
[networks.student]
backbone = { use = "vit", size = "tiny", patch = 8, depth = 1 }
[networks.student.heads]
restore = { use = "restoration-decoder", depth = 1, width = 32, heads = 2 }
)";
const std::string first_pass = "[[pass]]\nnetwork = \"student\"\nview = \"abnormal\"\n";
const std::string second_pass =
    "[[pass]]\nnetwork = \"student\"\nview = \"student.restored\"\nas = \"again\"\n";
const std::string first_loss =
    "[[loss]]\nuse = \"restoration\"\npatch = 8\nreads = { restored = \"student.restored\" }\n";
const std::string second_loss =
    "[[loss]]\nuse = \"restoration\"\nname = \"twice\"\npatch = 8\nreads = { restored = \"again.restored\" }\n";

/// Every port of every node with what it is connected to.
std::map<std::string, std::string> wires(const plan::Plan& plan) {
    std::map<std::string, std::string> out;
    for (const auto& node : plan.nodes())
        for (const auto* list : {&node.reads, &node.writes})
            for (const auto& port : *list) out[node.id + " " + port.port] = wire(node, port.port);
    return out;
}

bool is_written_before_it_is_read(const plan::Plan& plan) {
    std::set<std::string> names = {"image", "index"};
    for (const auto& node : plan.nodes()) {
        for (const auto& wire : node.reads)
            if (!wire.name.empty() && names.count(wire.name) == 0) return false;
        for (const auto& wire : node.writes) names.insert(wire.name);
    }
    return true;
}

}  // namespace

TEST_CASE("the demo recipe plans into augments, passes and losses with names and shapes") {
    CHECK(planned(extending_demo()).warnings().empty());
    const auto plan = planned(small_demo);
    CHECK(ids(plan) == Names{"augment.slm", "student.backbone", "student.project", "student.restore",
                             "teacher.backbone", "teacher.project", "teacher.prototypes",
                             "loss.structure-contrast", "loss.category-contrast", "loss.restoration"});
    CHECK(wire(node(plan, "augment.slm"), "mask") == "mask: B 1 32 32");
    CHECK(wire(node(plan, "student.backbone"), "image") == "abnormal: B 1 32 32");
    CHECK(wire(node(plan, "teacher.backbone"), "image") == "normal: B 1 32 32");
    CHECK(wire(node(plan, "student.backbone"), "tokens") == "student.tokens: B 16 48");
    CHECK(wire(node(plan, "student.restore"), "image") == "abnormal: B 1 32 32");
    CHECK(wire(node(plan, "student.restore"), "restored") == "student.restored: B 1 32 32");
    CHECK(wire(node(plan, "teacher.prototypes"), "prototypes") == "teacher.prototypes: 16 8");
}

TEST_CASE("the loader is asked for what passes, heads and losses read of the data, and no more") {
    CHECK(planned(extending_demo()).delivered() == std::set<std::string>{"abnormal", "mask", "normal"});
}

TEST_CASE("shapes follow the recipe") {
    const auto plan =
        planned(small_demo, {"data.size=96", "data.channels=3", "networks.student.backbone.dim=24",
                             "networks.student.heads.project.out=10"});
    CHECK(wire(node(plan, "student.backbone"), "tokens") == "student.tokens: B 144 24");
    CHECK(wire(node(plan, "student.project"), "logits") == "student.logits: B 144 10");
    CHECK(wire(node(plan, "student.restore"), "restored") == "student.restored: B 3 96 96");
}

TEST_CASE("a loss's port finds the trained network's output before a follower's") {
    const auto plan = planned(small_demo);
    CHECK(wire(node(plan, "teacher.project"), "logits") == "teacher.logits: B 16 8");
    CHECK(wire(node(plan, "loss.structure-contrast"), "logits") == "student.logits: B 16 8");
    CHECK(wire(node(plan, "loss.structure-contrast"), "prototypes") == "teacher.prototypes: 16 8");
}

TEST_CASE("a component's port finds its own pass's output before anybody else's") {
    const auto plan = planned(small_demo);
    CHECK(wire(node(plan, "teacher.prototypes"), "logits") == "teacher.logits: B 16 8");
    CHECK(wire(node(plan, "teacher.project"), "tokens") == "teacher.tokens: B 16 48");
}

TEST_CASE("a follower starts as a copy of its leader and gets no gradient") {
    const auto plan = planned(small_demo);
    std::map<std::string, at::Tensor> student;
    for (const auto& [name, tensor] : plan.network("student")->named_parameters())
        student[name.substr(std::string("student").size())] = tensor;
    const auto teacher = plan.network("teacher")->named_parameters();
    REQUIRE(teacher.size() > 20);
    for (const auto& [name, tensor] : teacher) {
        INFO(name);
        const auto& leader = student.at(name.substr(std::string("teacher").size()));
        CHECK(at::equal(tensor, leader));
        CHECK_FALSE(tensor.is_same(leader));
        CHECK_FALSE(tensor.requires_grad());
    }

    const auto out = plan.step(batch(plan, 32), Context{});
    out.total.backward();
    for (const auto& [name, tensor] : teacher) CHECK_FALSE(tensor.grad().defined());
    for (const auto& [name, tensor] : plan.trained_parameters()) {
        INFO(name);
        CHECK(tensor.grad().defined());
        CHECK_FALSE(name.substr(0, 8) == "teacher.");
    }
}

TEST_CASE("the total is the weighted sum of the losses") {
    const auto total = [](double weight) {
        at::manual_seed(1);
        const auto plan = planned(restoring + "weight = " + std::to_string(weight) + "\n");
        return plan.step(batch(plan, 32), Context{}).total.item<double>();
    };
    CHECK(total(1) > 0);
    CHECK(total(3) == Approx(3 * total(1)));
}

TEST_CASE("a pass runs on whatever another pass wrote, whichever the file names first") {
    const auto forward = planned(front + first_pass + second_pass + first_loss + second_loss);
    const auto backward = planned(front + second_pass + first_pass + second_loss + first_loss);
    CHECK(wire(node(forward, "again.backbone"), "image") == "student.restored: B 1 32 32");
    CHECK(wires(forward) == wires(backward));
    CHECK(is_written_before_it_is_read(forward));
    CHECK(is_written_before_it_is_read(backward));

    std::map<std::string, at::Tensor> weights;
    for (const auto& [name, tensor] : forward.state()) weights[name] = tensor;
    {
        const at::NoGradGuard no_grad;
        for (auto& [name, tensor] : backward.state()) tensor.copy_(weights.at(name));
    }
    const auto images = batch(forward, 32);
    CHECK(forward.step(images, Context{}).total.item<double>() ==
          Approx(backward.step(images, Context{}).total.item<double>()));
}

TEST_CASE("passes of one network share its parameters") {
    const auto once = planned(front + first_pass + first_loss);
    const auto twice = planned(front + first_pass + second_pass + first_loss + second_loss);
    CHECK(node(twice, "again.backbone").component == node(twice, "student.backbone").component);
    CHECK(node(twice, "again.restore").component == node(twice, "student.restore").component);
    CHECK(twice.trained_parameters().size() == once.trained_parameters().size());
}

TEST_CASE("`as` names a pass's outputs and `heads` chooses which heads run in it") {
    const auto plan = planned(small_demo +
                              "[[pass]]\nnetwork = \"student\"\nview = \"normal\"\nas = \"clean\"\n"
                              "heads = [\"project\"]\n[[loss]]\nuse = \"structure-contrast\"\n"
                              "name = \"clean\"\nreads = { logits = \"clean.logits\" }\n"
                              "[[loss]]\nuse = \"structure-contrast\"\n"
                              "reads = { logits = \"student.logits\" }\n"
                              "[[loss]]\nuse = \"category-contrast\"\n"
                              "reads = { logits = \"student.logits\" }\n");
    const auto all = ids(plan);
    CHECK(std::count(all.begin(), all.end(), "clean.project") == 1);
    CHECK(std::count(all.begin(), all.end(), "clean.restore") == 0);
    CHECK(wire(node(plan, "loss.clean"), "logits") == "clean.logits: B 16 8");
    CHECK(wire(node(plan, "loss.structure-contrast"), "logits") == "student.logits: B 16 8");
}

TEST_CASE("`reads` and `writes` rename what a port is connected to") {
    auto text = replaced(restoring, "use = \"slm\"", "use = \"slm\"\nwrites = { normal = \"plain\" }");
    text = replaced(text, "heads = 2 }", "heads = 2, writes = { restored = \"clean\" } }");
    text = replaced(text, "use = \"restoration\"\n",
                    "use = \"restoration\"\nreads = { restored = \"student.clean\", normal = \"plain\" }\n");
    const auto plan = planned(text);
    CHECK(wire(node(plan, "student.restore"), "restored") == "student.clean: B 1 32 32");
    CHECK(wire(node(plan, "loss.restoration"), "restored") == "student.clean: B 1 32 32");
    CHECK(wire(node(plan, "loss.restoration"), "normal") == "plain: B 1 32 32");
    CHECK(plan.step(batch(plan, 32), Context{}).tensors.has("student.clean"));
}

TEST_CASE("a renamed view is delivered under its new name") {
    const auto renamed = planned(replaced(replaced(restoring, "\"abnormal\"", "\"ill\""), "use = \"slm\"",
                                          "use = \"slm\"\nwrites = { abnormal = \"ill\" }"));
    CHECK(renamed.delivered().count("ill") == 1);
    CHECK(renamed.delivered().count("abnormal") == 0);
}

TEST_CASE("a head whose output nobody reads is announced and not run") {
    const auto plan = planned(
        replaced(restoring, "[[pass]]", "project = { use = \"position-projector\", out = 8 }\n[[pass]]"));
    REQUIRE(plan.warnings().size() == 1);
    CHECK_THAT(plan.warnings().front(), Contains("student.project is not run"));
    CHECK_FALSE(node(plan, "student.project").runs);
    CHECK(node(plan, "student.restore").runs);
    const auto tensors = plan.step(batch(plan, 32), Context{}).tensors;
    CHECK(tensors.has("student.restored"));
    CHECK_FALSE(tensors.has("student.logits"));
}

TEST_CASE("a head runs when only the monitor watches it") {
    const auto plan = planned(
        replaced(restoring, "[[pass]]", "project = { use = \"position-projector\", out = 8 }\n[[pass]]") +
        "[monitor]\nfeatures = \"student.logits\"\n");
    CHECK(node(plan, "student.project").runs);
    CHECK(plan.warnings().empty());
}

TEST_CASE("a network is evaluated without its heads") {
    const auto plan = planned(small_demo);
    const auto features = plan.features("student", at::rand({3, 1, 32, 32}), Context{});
    CHECK(features["tokens"].sizes().vec() == std::vector<std::int64_t>{3, 16, 48});
    CHECK(features["cls"].sizes().vec() == std::vector<std::int64_t>{3, 48});
    CHECK_THROWS_AS(plan.features("studnet", at::rand({3, 1, 32, 32}), Context{}), RecipeError);
}

// Liu et al. 2025, Table 1.
TEST_CASE("the rows of the ablation are a few lines on top of the recipe") {
    const auto row = [](const std::string& top, const std::string& tables = "") {
        return planned(extending_demo(top, tables));
    };
    SECTION("3: no prototypes: the teacher's assignments of the batch at hand") {
        const auto plan = row("", "[networks.teacher.extra_heads]\nprototypes = { memory = false }\n");
        CHECK(plan.nodes().size() == 10);
    }
    SECTION("4: neither contrast: no teacher") {
        const auto plan = row(R"(drop.loss = ["structure-contrast", "category-contrast"]
drop.networks = ["teacher"]
drop.pass = ["teacher"]
drop.heads = ["student.project"])",
                              "[monitor]\nassignments = \"\"\n");
        CHECK(ids(plan) == Names{"augment.slm", "student.backbone", "student.restore", "loss.restoration"});
    }
    SECTION("5: no contrast of categories") {
        CHECK(row("drop.loss = [\"category-contrast\"]").nodes().size() == 9);
    }
    SECTION("6: no contrast of structures") {
        CHECK(row("drop.loss = [\"structure-contrast\"]").nodes().size() == 9);
    }
    SECTION("7: no restoration: no decoder") {
        const auto plan = row("drop.loss = [\"restoration\"]\ndrop.heads = [\"student.restore\"]");
        CHECK(plan.nodes().size() == 8);
        CHECK(plan.delivered().count("image") == 0);
    }
}

TEST_CASE("training mode leaves a frozen network as it is") {
    const auto text = restoring + R"([networks.judge]
frozen = true
backbone = { use = "resnet", depth = 18 }
[[pass]]
network = "judge"
view = "normal"
)";
    auto plan = planned(text);
    plan.train(true);
    CHECK(plan.network("student")->backbone->is_training());
    CHECK_FALSE(plan.network("judge")->backbone->is_training());
    plan.train(false);
    CHECK_FALSE(plan.network("student")->backbone->is_training());
}

namespace {

/// The restoring network beside a frozen one, of which the monitor watches the class token.
const std::string judged_recipe = restoring + R"([networks.judge]
frozen = true
backbone = { use = "vit", size = "tiny", patch = 8, depth = 1 }
[[pass]]
network = "judge"
view = "normal"
[monitor]
assignments = "judge.cls"
)";

}  // namespace

TEST_CASE("a node knows which of its outputs are read: by nodes that run, and by the monitor") {
    using Ports = std::set<std::string>;
    // The decoder reads tokens, so the monitor watches them too, unless it is told otherwise.
    CHECK(node(planned(restoring), "student.backbone").wanted == Ports{"pixel_mean", "pixel_std", "tokens"});
    CHECK(node(planned(restoring), "student.restore").wanted ==
          Ports{"restored", "restored.mean", "restored.std"});
    CHECK(node(planned(restoring, {"monitor.features=student.cls"}), "student.backbone").wanted ==
          Ports{"cls", "pixel_mean", "pixel_std", "tokens"});
    CHECK(node(planned(judged_recipe), "judge.backbone").wanted == Ports{"cls"});
}

TEST_CASE(
    "the monitor watches what the losses train: the class token, or the mean of tokens where nobody reads it") {
    const auto of_tokens = planned(restoring);
    const auto watched = of_tokens.watched_features({});
    CHECK((watched.name == "student.tokens" && watched.average));
    const auto with_cls = planned(restoring, {"networks.student.heads.restore.cls=true"});
    CHECK((with_cls.watched_features({}).name == "student.cls" && !with_cls.watched_features({}).average));
    recipe::MonitorSpec chosen;
    chosen.features = "student.restored";
    CHECK((of_tokens.watched_features(chosen).name == "student.restored" &&
           !of_tokens.watched_features(chosen).average));
}

TEST_CASE("a port that belongs to another one goes with it: its unit with a restored image") {
    const auto unit = [](const plan::Plan& plan, const char* loss) {
        return wire(node(plan, std::string("loss.") + loss), "restored.std");
    };
    CHECK(unit(planned(restoring), "restoration") == "student.restored.std: B 1");
    // Two passes write it: which one is said once, for the image.
    const auto twice = restoring + "[[pass]]\nnetwork = \"student\"\nview = \"normal\"\nas = \"again\"\n";
    const auto chosen = replaced(twice, "use = \"restoration\"\n",
                                 "use = \"restoration\"\nreads = { restored = \"student.restored\" }\n");
    CHECK(unit(planned(chosen), "restoration") == "student.restored.std: B 1");
    // Renamed with its owner, and unconnected beside a tensor that has none.
    const auto renamed = replaced(
        replaced(restoring, "heads = 2 }", "heads = 2, writes = { restored = \"clean\" } }"),
        "use = \"restoration\"\n", "use = \"restoration\"\nreads = { restored = \"student.clean\" }\n");
    CHECK(unit(planned(renamed), "restoration") == "student.clean.std: B 1");
    const auto other = planned(restoring +
                               "[[loss]]\nuse = \"restoration\"\nname = \"other\"\npatch = 8\n"
                               "reads = { restored = \"normal\", normal = \"student.restored\" }\n");
    CHECK(unit(other, "other").starts_with(": "));
}

TEST_CASE("a step leaves out what nobody reads, features for evaluation do not") {
    at::manual_seed(1);
    const auto judged = planned(judged_recipe);
    const auto out = judged.step(batch(judged, 32), {});
    CHECK(out.tensors.has("judge.cls"));
    CHECK_FALSE(out.tensors.has("judge.tokens"));
    CHECK(out.tensors.has("student.tokens"));
    CHECK(judged.features("judge", at::rand({2, 1, 32, 32}), {}).has("tokens"));
}
