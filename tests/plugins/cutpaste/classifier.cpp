// The head mlp-classifier: its values against loops in double precision, its names, its gradient.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "support/autocast.hpp"
#include "support/gradients.hpp"
#include "support/plugins.hpp"

namespace cutpaste_classifier {

using namespace hearth;
using at::Tensor;
using Widths = std::vector<std::int64_t>;

namespace {

std::shared_ptr<Head> classifier(std::int64_t in, const Widths& hidden, std::int64_t out) {
    Symbols symbols;
    symbols.bind("D", in);
    at::manual_seed(1);
    return test::make<Head>("mlp-classifier", {{"hidden", hidden}, {"out", out}}, symbols);
}

double cross_entropy(const Tensor& logits, const Tensor& label) {
    return test::make<Loss>("cross-entropy")
        ->forward({{"logits", logits}, {"label", label}}, {})
        .total.item<double>();
}

/// x W^T + b, normalised over the batch, without what is below 0.
Tensor layer(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const auto rows = x.size(0), width = weight.size(0);
    auto out = at::zeros({rows, width}, at::kDouble);
    for (std::int64_t j = 0; j < width; ++j) {
        std::vector<double> y(static_cast<std::size_t>(rows));
        double mean = 0, variance = 0;
        for (std::int64_t i = 0; i < rows; ++i) {
            auto& value = y[static_cast<std::size_t>(i)] = bias[j].item<double>();
            for (std::int64_t k = 0; k < x.size(1); ++k)
                value += x[i][k].item<double>() * weight[j][k].item<double>();
            mean += value / static_cast<double>(rows);
        }
        for (const double value : y) variance += (value - mean) * (value - mean) / static_cast<double>(rows);
        for (std::int64_t i = 0; i < rows; ++i)
            out[i][j] = std::max(0.0, (y[static_cast<std::size_t>(i)] - mean) / std::sqrt(variance + 1e-5));
    }
    return out;
}

}  // namespace

TEST_CASE("hidden layers are a map, a norm over the batch and a rectifier") {
    const auto head = classifier(5, {4, 3}, 2);
    head->to(at::kDouble);
    const auto x = at::randn({6, 5}, at::kDouble);
    auto parameters = head->named_parameters();
    const auto first = layer(x, parameters["head.0.weight"], parameters["head.0.bias"]);
    const auto second = layer(first, parameters["head.3.weight"], parameters["head.3.bias"]);
    const auto out = head->forward({{"cls", x}}, {});
    CHECK(at::allclose(out["embedding"], second, 0, 1e-12));
    CHECK(at::allclose(out["logits"], at::linear(second, parameters["out.weight"], parameters["out.bias"]), 0,
                       1e-12));
}

TEST_CASE("in evaluation running statistics take the place of the batch's") {
    const auto head = classifier(5, {4}, 2);
    const auto x = at::randn({64, 5}) * 2 + 1;
    for (int i = 0; i < 200; ++i) head->forward({{"cls", x}}, {});
    const auto batch = head->forward({{"cls", x}}, {})["logits"];
    Context context;
    context.training = false;
    const auto running = head->forward({{"cls", x}}, context)["logits"];
    CHECK(at::allclose(running, batch, 0, 0.02));  // running variances divide by n - 1
    CHECK(at::allclose(head->forward({{"cls", x.slice(0, 0, 1)}}, context)["logits"], running.slice(0, 0, 1),
                       1e-5, 1e-6));
    head->eval();
    CHECK(head->forward({{"cls", x}}, {})["logits"].equal(running));
}

TEST_CASE("logits of 0 cost ln K") {
    for (const auto& [classes, cost] :
         std::vector<std::pair<std::int64_t, double>>{{2, 0.693147}, {3, 1.098612}}) {
        const auto head = classifier(8, {6}, classes);
        const at::NoGradGuard no_grad;
        head->named_parameters()["out.weight"].zero_();
        head->named_parameters()["out.bias"].zero_();
        const auto logits = head->forward({{"cls", at::randn({6, 8})}}, {})["logits"];
        CHECK(cross_entropy(logits, at::arange(6, at::kLong).remainder(classes)) == Approx(cost).margin(1e-6));
    }
}

TEST_CASE("parameters carry the official names") {
    std::vector<std::string> names;
    for (const auto& item : classifier(8, {6, 4}, 3)->named_parameters()) names.push_back(item.key());
    std::sort(names.begin(), names.end());
    CHECK(names == std::vector<std::string>{"head.0.bias", "head.0.weight", "head.1.bias", "head.1.weight",
                                            "head.3.bias", "head.3.weight", "head.4.bias", "head.4.weight",
                                            "out.bias", "out.weight"});
}

TEST_CASE("without hidden layers the head is linear") {
    const auto head = classifier(5, {}, 3);
    const auto x = at::randn({1, 5});
    const auto out = head->forward({{"cls", x}}, {});
    CHECK(out["embedding"].equal(x));
    CHECK(at::allclose(out["logits"], at::linear(x, head->named_parameters()["out.weight"],
                                                 head->named_parameters()["out.bias"])));
}

TEST_CASE("the declared shapes") {
    const auto& type = test::registry().find(Kind::head, "mlp-classifier");
    const auto shapes = [&](const std::vector<std::pair<std::string, OptionValue>>& changes) {
        std::string text;
        for (const auto& port : type.writes(test::options(type, changes), {}))
            text += port.name + " " + to_string(port.shape) + "; ";
        return text;
    };
    CHECK(shapes({}) == "logits B 2; embedding B 128; ");
    CHECK(shapes({{"hidden", Widths{}}, {"out", std::int64_t{3}}}) == "logits B 3; embedding B D; ");
    CHECK_FALSE(type.schema().find("hidden")->check(Widths{512, 0}).empty());
}

TEST_CASE("gradients flow to the input and to all parameters") {
    const auto head = classifier(5, {6, 4}, 3);
    head->to(at::kDouble);
    const auto x = at::randn({8, 5}, at::kDouble);
    const auto value = [&](const Tensor& cls) {
        return head->forward({{"cls", cls}}, {})["logits"].pow(3).sum();
    };
    CHECK(test::gradient_error(value, x) < 1e-5);
    value(x).backward();
    for (const auto& item : head->named_parameters()) {
        INFO(item.key());
        CHECK(item.value().grad().defined());
    }
}

TEST_CASE("norms are computed in fp32 under autocast") {
    const auto head = classifier(8, {6}, 2);
    const test::Autocast autocast;
    CHECK(head->forward({{"cls", at::randn({4, 8})}}, {})["embedding"].scalar_type() == at::kFloat);
}

TEST_CASE("a single vector has no batch statistics, and the error says what to do") {
    const auto head = classifier(5, {4}, 2);
    CHECK_THROWS_WITH(head->forward({{"cls", at::randn({1, 5})}}, {}),
                      Catch::Contains("found one vector") && Catch::Contains("train.batch"));
    Context context;
    context.training = false;
    CHECK_NOTHROW(head->forward({{"cls", at::randn({1, 5})}}, context));
}

}  // namespace cutpaste_classifier
