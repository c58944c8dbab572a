// The parts of a masked autoencoder wired by a recipe: they find each other by names, and together they learn.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/optim/adamw.h>

#include "plan/support.hpp"

namespace mae_recipe {

using namespace hearth;
using namespace hearth::test;

namespace {

const std::string masked_autoencoder = R"(schema = 1
[data]
source = "phantom"
size = 32
[[augment]]
use = "random-patch-mask"
patch = 8
[networks.student]
backbone = { use = "vit", dim = 48, heads = 3, depth = 2, patch = 8, positions = "sincos", init = "mae" }
[networks.student.heads]
decode = { use = "mae-decoder", depth = 1, width = 32, heads = 2 }
[[pass]]
network = "student"
view = "image"
[[loss]]
use = "masked-reconstruction"
)";

}  // namespace

TEST_CASE("a recipe connects mask, encoder, decoder and loss") {
    const auto plan = planned(masked_autoencoder);
    CHECK(plan.warnings().empty());
    CHECK(wire(node(plan, "student.backbone"), "keep") == "keep: B 4");
    CHECK(wire(node(plan, "student.backbone"), "tokens") == "student.tokens: B 4 48");
    CHECK(wire(node(plan, "student.decode"), "tokens") == "student.tokens: B 4 48");
    CHECK(wire(node(plan, "student.decode"), "restore") == "restore: B 16");
    CHECK(wire(node(plan, "loss.masked-reconstruction"), "prediction") == "student.prediction: B 16 64");
    CHECK(plan.delivered() == std::set<std::string>{"image", "keep", "masked", "restore"});
}

TEST_CASE("a step trains every parameter but the positions") {
    at::manual_seed(1);
    const auto plan = planned(masked_autoencoder);
    const auto images = batch(plan, 32);
    plan.step(images, {}).total.backward();
    std::size_t with_gradient = 0;
    for (const auto& [name, parameter] : plan.trained_parameters()) {
        INFO(name);
        CHECK_FALSE(name.ends_with("pos_embed"));
        CHECK(parameter.grad().defined());
        ++with_gradient;
    }
    CHECK(with_gradient == 5 + 2 * 12 + 7 + 12);
}

TEST_CASE("a masked autoencoder learns a batch by heart") {
    at::set_num_threads(1);  // the products are tiny: on a busy machine threads only wait for each other
    at::manual_seed(1);
    const auto plan = planned(masked_autoencoder);
    const auto images = batch(plan, 32);
    std::vector<at::Tensor> parameters;
    for (const auto& [name, parameter] : plan.trained_parameters()) parameters.push_back(parameter);
    torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(3e-3));
    double first = 0, last = 0;
    for (int step = 0; step < 150; ++step) {
        optimizer.zero_grad();
        const auto total = plan.step(images, {}).total;
        total.backward();
        optimizer.step();
        last = total.item<double>();
        if (step == 0) first = last;
    }
    CHECK(first > 0.9);
    CHECK(last < 0.3);
}

TEST_CASE("features for evaluation take every patch") {
    const auto plan = planned(masked_autoencoder);
    const at::NoGradGuard no_grad;
    CHECK(plan.features("student", at::rand({2, 1, 32, 32}), {})["tokens"].sizes() ==
          at::IntArrayRef({2, 16, 48}));
}

}  // namespace mae_recipe
