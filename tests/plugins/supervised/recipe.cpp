// A supervised baseline wired by a recipe: backbone, linear head and cross-entropy find each other, and learn.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/optim/adamw.h>

#include <cmath>

#include "plan/support.hpp"

using namespace hearth;
using namespace hearth::test;
using at::Tensor;

namespace {

std::string supervised(const std::string& backbone) {
    return R"(schema = 1
[data]
source = "phantom"
size = 48
label = "label"
[networks.student]
backbone = )" +
           backbone + R"(
[networks.student.heads]
classify = { use = "linear", out = 3 }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "cross-entropy"
)";
}

const std::string vit = R"({ use = "vit", dim = 48, heads = 3, depth = 1, patch = 8 })";
const std::string resnet = R"({ use = "resnet", depth = 18, writes = { "features.4" = "map" } })";

/// Six images of three classes, and one without a label.
Tensors labelled() {
    at::manual_seed(3);
    return {{"image", at::rand({7, 1, 48, 48})}, {"label", at::tensor({0, 1, 2, 0, 1, 2, -1}, at::kLong)}};
}

}  // namespace

TEST_CASE("a recipe connects backbone, classifier and labels") {
    const auto by_tokens = planned(supervised(vit));
    CHECK(wire(node(by_tokens, "student.classify"), "cls") == "student.cls: B 48");
    const auto by_maps = planned(supervised(resnet));
    CHECK(wire(node(by_maps, "student.classify"), "cls") == "student.cls: B 512");
    CHECK(wire(node(by_maps, "student.backbone"), "features.1") == "student.features.1: B 64 12 12");
    CHECK(wire(node(by_maps, "student.backbone"), "features.4") == "student.map: B 512 2 2");
    CHECK(wire(node(by_maps, "loss.cross-entropy"), "logits") == "student.logits: B 3");
    CHECK(wire(node(by_maps, "loss.cross-entropy"), "label") == "label: B");
}

TEST_CASE("without a column of labels the recipe says what is missing") {
    CHECK_THAT(refusal(replaced(supervised(vit), "label = \"label\"\n", "")),
               Catch::Contains("reads 'label'") && Catch::Contains("which nothing writes"));
}

TEST_CASE("class weights for another number of classes are refused before any data is read") {
    CHECK_THAT(refusal(supervised(vit) + "class_weights = [1.0, 2.0]\n"),
               Catch::Contains("class_weights has 2 values, expected 3"));
}

TEST_CASE("both backbones learn the labels of a batch by heart") {
    for (const auto& backbone : {vit, resnet}) {
        INFO(backbone);
        at::manual_seed(1);
        const auto plan = planned(supervised(backbone));
        std::vector<Tensor> parameters;
        for (const auto& [name, parameter] : plan.trained_parameters()) parameters.push_back(parameter);
        torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(1e-3));
        const auto images = labelled();
        double first = 0, last = 0;
        for (int step = 0; step < 25; ++step) {
            optimizer.zero_grad();
            const auto total = plan.step(images, {}).total;
            total.backward();
            for (const auto& [name, parameter] : plan.trained_parameters()) {
                INFO(name);
                REQUIRE(parameter.grad().defined());
            }
            optimizer.step();
            last = total.item<double>();
            if (step == 0) first = last;
        }
        CHECK(first == Approx(std::log(3.0)).epsilon(0.2));
        CHECK(last < 0.3);
    }
}

TEST_CASE("features for evaluation: the pooled vector of a network in training mode, by running statistics") {
    auto plan = planned(supervised(resnet));
    const at::NoGradGuard no_grad;
    Context context;
    context.training = false;
    const auto image = labelled()["image"];
    const auto cls = plan.features("student", image, context)["cls"];
    CHECK(cls.sizes() == at::IntArrayRef({7, 512}));
    CHECK(at::allclose(plan.features("student", image.slice(0, 0, 1), context)["cls"], cls.slice(0, 0, 1), 1e-4,
                       1e-5));
}
