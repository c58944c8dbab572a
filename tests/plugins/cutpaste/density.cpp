// The head gaussian-density: what it fits against loops over the definitions, distances whose value is known,
// and its Grad-CAM against autograd's.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "support/plugins.hpp"

namespace cutpaste_density {

using namespace hearth;
using at::Tensor;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

namespace {

/// Features of a training set, delivered in batches.
class Features : public TrainingSet {
  public:
    Features(Tensor all, std::string port = "features", std::int64_t batch = 7)
        : all_(std::move(all)), port_(std::move(port)), batch_(batch) {}
    std::int64_t size() const override { return all_.size(0); }
    void each(const Use& use) const override {
        for (std::int64_t i = 0; i < size(); i += batch_) {
            const auto end = std::min(size(), i + batch_);
            use({{port_, all_.slice(0, i, end)}}, at::arange(i, end, at::kLong));
        }
    }

  private:
    Tensor all_;
    std::string port_;
    std::int64_t batch_;
};

std::shared_ptr<Head> density(const Changes& changes = {}) {
    return test::make<Head>("gaussian-density", changes);
}

std::shared_ptr<Head> fitted(const TrainingSet& set, const Changes& changes = {}) {
    const auto head = density(changes);
    Context context;
    context.set = &set;
    head->fit(context);
    return head;
}

Tensor buffer(const Head& head, const std::string& name) {
    return head.named_buffers()[name];
}

/// S of the head, from its factor.
Tensor covariance(const Head& head) {
    const auto factor = buffer(head, "factor");
    return at::mm(factor, factor.t());
}

Tensor score(Head& head, const Tensor& features) {
    return head.forward({{"features", features}}, {})["score"].to(at::kDouble);
}

/// Rows drawn from a Gaussian with another variance in every direction.
Tensor rows(std::int64_t count, std::int64_t width, std::uint64_t seed = 5) {
    at::manual_seed(seed);
    return at::mm(at::randn({count, width}, at::kDouble), at::randn({width, width}, at::kDouble)) +
           at::arange(width, at::kDouble);
}

const Changes plain = {{"unit_length", false}, {"shrinkage", std::string("none")}};
const Changes shrunk = {{"unit_length", false}};

}  // namespace

TEST_CASE("mean and covariance are those of the training set") {
    const auto x = rows(50, 4);
    const auto head = fitted(Features(x), plain);
    auto mean = at::zeros({4}, at::kDouble), expected = at::zeros({4, 4}, at::kDouble);
    for (std::int64_t k = 0; k < 50; ++k) mean += x[k] / 50;
    for (std::int64_t k = 0; k < 50; ++k) expected += at::outer(x[k] - mean, x[k] - mean) / 50;
    CHECK(at::allclose(buffer(*head, "mean"), mean, 1e-12, 1e-12));
    CHECK(at::allclose(covariance(*head), expected, 1e-12, 1e-12));
    CHECK(buffer(*head, "rows").item<std::int64_t>() == 50);
    CHECK(buffer(*head, "shrinkage").item<double>() == 0);
    // The mean squared distance of what was fitted is the number of dimensions.
    CHECK(score(*head, x).square().mean().item<double>() == Approx(4).epsilon(1e-6));
}

TEST_CASE("the covariance is shrunk as Ledoit and Wolf do") {
    for (const std::int64_t count : {3, 8, 40}) {
        CAPTURE(count);
        const auto x = rows(count, 6);
        const auto head = fitted(Features(x), shrunk);
        // Lemmas 3.2 to 3.5 as they stand, with |A|^2 = tr(A A^T) / D.
        const auto y = x - x.mean(0);
        const auto sample = at::mm(y.t(), y) / static_cast<double>(count);
        const auto eye = at::eye(6, at::kDouble);
        const auto norm = [](const Tensor& a) { return a.square().sum().item<double>() / 6; };
        const double m = sample.trace().item<double>() / 6, d2 = norm(sample - m * eye);
        double b2 = 0;
        for (std::int64_t k = 0; k < count; ++k)
            b2 += norm(at::outer(y[k], y[k]) - sample) / static_cast<double>(count * count);
        b2 = std::min(b2, d2);
        CHECK(buffer(*head, "shrinkage").item<double>() == Approx(b2 / d2).epsilon(1e-9));
        CHECK(at::allclose(covariance(*head), (b2 * m * eye + (d2 - b2) * sample) / d2, 1e-9, 1e-9));
    }
}

TEST_CASE("a known Gaussian is found again") {
    at::manual_seed(2);
    const auto mean = at::tensor({1.0, -2.0, 0.5}, at::kDouble);
    const auto factor = at::tensor({2.0, 0.0, 0.0, 0.5, 1.0, 0.0, -1.0, 0.3, 0.7}, at::kDouble).view({3, 3});
    const auto x = at::mm(at::randn({20'000, 3}, at::kDouble), factor.t()) + mean;
    const auto head = fitted(Features(x, "features", 512), shrunk);
    CHECK(at::allclose(buffer(*head, "mean"), mean, 0, 0.05));
    CHECK(at::allclose(buffer(*head, "factor"), factor, 0, 0.05));
    CHECK(buffer(*head, "shrinkage").item<double>() < 1e-3);
}

TEST_CASE("with the identity as covariance the distance is Euclid's, and 0 at the mean") {
    // +-sqrt(D) along each axis, about (1, .., 1).
    const auto axes = std::sqrt(3.0) * at::eye(3, at::kDouble);
    const auto head = fitted(Features(at::cat({axes, -axes}) + 1), plain);
    CHECK(at::allclose(covariance(*head), at::eye(3, at::kDouble), 0, 1e-12));
    const auto x = at::tensor({1.0, 1.0, 1.0, 4.0, 1.0, 1.0, 1.0, 5.0, 4.0}, at::kDouble).view({3, 3});
    CHECK(at::allclose(score(*head, x), at::tensor({0.0, 3.0, 5.0}, at::kDouble), 0, 1e-6));
}

TEST_CASE("without shrinkage an invertible map of the features changes no distance") {
    const auto x = rows(60, 5), test = rows(9, 5, 6);
    at::manual_seed(8);
    const auto map = at::randn({5, 5}, at::kDouble);
    const auto before = score(*fitted(Features(x), plain), test);
    const auto after = score(*fitted(Features(at::mm(x, map) + 3), plain), at::mm(test, map) + 3);
    CHECK(at::allclose(before, after, 1e-6, 0));
}

TEST_CASE("vectors are divided by their length unless the recipe says otherwise") {
    const auto x = rows(30, 4), test = rows(5, 4, 6);
    const auto head = fitted(Features(x));
    CHECK(at::allclose(score(*head, test), score(*head, test * 7), 1e-6, 0));
    const auto unit = [](const Tensor& a) { return a / a.norm(2, 1, true); };
    CHECK(at::allclose(score(*head, test), score(*fitted(Features(unit(x)), shrunk), unit(test)), 1e-6, 0));
}

TEST_CASE("how the set is cut into batches, and how far from 0 it lies, changes nothing") {
    const auto x = rows(40, 4);
    const auto one = fitted(Features(x, "features", 40), shrunk),
               many = fitted(Features(x, "features", 3), shrunk);
    CHECK(at::allclose(covariance(*one), covariance(*many), 1e-12, 1e-12));
    const auto away = fitted(Features(x + 1e6), shrunk);
    CHECK(at::allclose(covariance(*one), covariance(*away), 1e-7, 1e-7));
    CHECK(buffer(*away, "shrinkage").item<double>() ==
          Approx(buffer(*one, "shrinkage").item<double>()).epsilon(1e-6));
}

TEST_CASE("a map is scored by its mean, and Grad-CAM is autograd's") {
    at::manual_seed(4);
    const auto train = at::rand({40, 6, 3, 2}, at::kDouble), map = at::rand({5, 6, 3, 2}, at::kDouble);
    for (const bool unit : {true, false}) {
        CAPTURE(unit);
        const Changes changes = {{"over", std::string("map")}, {"unit_length", unit}};
        const auto head = fitted(Features(train, "feature_map"), changes);
        const auto input = map.clone().requires_grad_();
        const auto out = head->forward({{"feature_map", input}}, {});
        CHECK(out["score"].sizes() == at::IntArrayRef({5}));
        CHECK(out["map"].sizes() == at::IntArrayRef({5, 1, 3, 2}));
        CHECK(at::allclose(
            out["score"].detach().to(at::kDouble),
            score(*fitted(Features(train.mean({2, 3})), {{"unit_length", unit}}), map.mean({2, 3})), 1e-6, 0));
        const auto gradient = torch::autograd::grad({out["score"].sum()}, {input})[0];
        const auto expected = (gradient.mean({2, 3}, true) * map).sum(1, true).relu();
        CHECK(expected.max().item<double>() > 0);
        CHECK(at::allclose(out["map"].detach().to(at::kDouble), expected, 1e-5, 1e-7));
    }
}

TEST_CASE("positions have distances of their own, of which the largest is the image's") {
    at::manual_seed(4);
    const auto train = at::rand({10, 4, 3, 2}, at::kDouble), map = at::rand({3, 4, 3, 2}, at::kDouble);
    const auto head = fitted(Features(train, "feature_map"), {{"over", std::string("positions")}});
    CHECK(buffer(*head, "rows").item<std::int64_t>() == 60);
    const auto out = head->forward({{"feature_map", map}}, {});
    const auto as_rows = [](const Tensor& maps) { return maps.permute({0, 2, 3, 1}).reshape({-1, 4}); };
    const auto each = score(*fitted(Features(as_rows(train))), as_rows(map)).view({3, 1, 3, 2});
    CHECK(at::allclose(out["map"].to(at::kDouble), each, 1e-6, 0));
    CHECK(out["score"].equal(out["map"].amax({1, 2, 3})));
}

TEST_CASE("ports follow from what has a distance") {
    const auto& type = test::registry().find(Kind::head, "gaussian-density");
    const auto ports = [&](const char* over) {
        const auto options = test::options(type, {{"over", std::string(over)}});
        std::string text;
        for (const auto& port : type.reads(options)) text += port.name + " " + to_string(port.shape) + " -> ";
        for (const auto& port : type.writes(options, {}))
            text += port.name + " " + to_string(port.shape) + "; ";
        return text;
    };
    CHECK(ports("features") == "features B D -> score B; ");
    CHECK(ports("map") == "feature_map B D h w -> score B; map B 1 h w; ");
    CHECK(ports("positions") == ports("map"));
    CHECK(density()->fits() == Fit::after);
    CHECK_FALSE(type.schema().find("over")->check(std::string("tokens")).empty());
}

TEST_CASE("what cannot be fitted or scored is refused, with what to do") {
    const auto x = rows(20, 4);
    const auto refusal = [](const Tensor& set, const Changes& changes = shrunk) {
        try {
            fitted(Features(set), changes);
        } catch (const Error& error) {
            return std::to_string(static_cast<int>(error.code())) + ": " + error.what();
        }
        return std::string("fitted");
    };
    CHECK_THROWS_WITH(score(*density(), x), Catch::Contains("found no fitted mean"));
    CHECK_THAT(refusal(x.slice(0, 0, 1)), Catch::StartsWith("3: ") && Catch::Contains("found 1 vector to fit"));
    CHECK_THAT(refusal(x.slice(0, 0, 1).expand({20, 4})),
               Catch::StartsWith("5: ") && Catch::Contains("found 20 equal vectors"));
    auto broken = x.clone();
    broken[3][1] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THAT(refusal(broken), Catch::StartsWith("5: ") && Catch::Contains("not finite"));
    CHECK_THAT(refusal(x.slice(0, 0, 3), plain),
               Catch::StartsWith("5: ") && Catch::Contains("shrinkage = \"ledoit-wolf\""));
    CHECK(refusal(x.slice(0, 0, 3)) == "fitted");
}

TEST_CASE("features of a half-precision network are taken as they are") {
    const auto x = rows(40, 4).to(at::kBFloat16);
    const auto head = fitted(Features(x));
    CHECK(head->forward({{"features", x}}, {})["score"].scalar_type() == at::kFloat);
    CHECK(at::allclose(score(*head, x), score(*head, x.to(at::kDouble))));
}

}  // namespace cutpaste_density
