// Classifiers on frozen features: they find what is there, find nothing in noise, and say the same every time.
#include "eval/probe/classifiers.hpp"

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>

#include "eval/metrics/metrics.hpp"

using namespace hearth;
using namespace hearth::eval;

namespace {

/// `rows` rows of `width` Gaussian numbers; row i is of class i % classes, moved by `distance` along that axis.
/// Two rows in a row are of one patient.
FeatureSet gaussians(std::int64_t rows, std::int64_t width, double distance, int classes = 2) {
    FeatureSet set;
    set.x = at::randn({rows, width});
    for (std::int64_t i = 0; i < rows; ++i) {
        const int label = static_cast<int>(i % classes);
        set.x[i][label] += distance;
        set.labels.push_back(label);
        set.patients.push_back(static_cast<int>(i / 2));
    }
    return set;
}

std::vector<double> column(const at::Tensor& probabilities, std::int64_t c) {
    std::vector<double> out;
    for (std::int64_t i = 0; i < probabilities.size(0); ++i) out.push_back(probabilities[i][c].item<double>());
    return out;
}

double auc_of(const at::Tensor& probabilities, const FeatureSet& set) {
    return auc(column(probabilities, 1), set.labels);
}

FeatureSet rows(const at::Tensor& x, std::vector<int> labels) {
    FeatureSet set{x, std::move(labels), {}};
    for (int i = 0; i < static_cast<int>(x.size(0)); ++i) set.patients.push_back(i);
    return set;
}

/// k-NN with all similarities at once, as its definition says.
at::Tensor whole_knn(const FeatureSet& train, const FeatureSet& test, std::int64_t k) {
    const auto unit = [](const at::Tensor& x) { return x / x.norm(2, 1, true).clamp_min(1e-12); };
    const auto mean = train.x.mean(0, true);
    const auto similarity = at::mm(unit(test.x - mean), unit(train.x - mean).t()).to(at::kDouble);
    const auto [value, index] = similarity.topk(k, 1);
    const auto y = at::tensor(std::vector<std::int64_t>(train.labels.begin(), train.labels.end()));
    auto votes = at::zeros({test.x.size(0), 2}, at::kDouble);
    votes.scatter_add_(1, y.index_select(0, index.flatten()).view_as(index), (value / 0.07).exp());
    return votes / votes.sum(1, true);
}

/// The most bytes that tensors made by this thread have taken at once, since it was made.
class PeakOfTensors {
  public:
    PeakOfTensors()
        : report_(std::make_shared<Report>()), guard_(c10::DebugInfoKind::PROFILER_STATE, report_) {}
    double mib() const { return static_cast<double>(report_->peak) / (1 << 20); }

  private:
    struct Report : c10::MemoryReportingInfoBase {
        std::int64_t now = 0, peak = 0;
        void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device) override {
            now += bytes;
            peak = std::max(peak, now);
        }
        bool memoryProfilingEnabled() const override { return true; }
    };
    std::shared_ptr<Report> report_;
    c10::DebugInfoGuard guard_;
};

void check_distributions(const at::Tensor& probabilities) {
    CHECK(probabilities.scalar_type() == at::kDouble);
    CHECK(at::allclose(probabilities.sum(1), at::ones({probabilities.size(0)}, at::kDouble)));
    CHECK(probabilities.min().item<double>() >= 0);
}

}  // namespace

TEST_CASE("a linear probe separates what is separable") {
    at::manual_seed(1);
    const auto train = gaussians(300, 16, 3), test = gaussians(300, 16, 3);
    const auto probe = linear_probe(train, test, 2, 0);
    check_distributions(probe.probabilities);
    CHECK(auc_of(probe.probabilities, test) > 0.95);
    CHECK(f1(apply_threshold(column(probe.probabilities, 1), probe.threshold), test.labels) > 0.9);
}

TEST_CASE("a linear probe finds nothing in noise") {
    at::manual_seed(2);
    const auto train = gaussians(300, 16, 0), test = gaussians(600, 16, 0);
    CHECK(auc_of(linear_probe(train, test, 2, 0).probabilities, test) == Approx(0.5).margin(0.1));
}

TEST_CASE("a linear probe says the same every time") {
    at::manual_seed(3);
    const auto train = gaussians(100, 8, 1), test = gaussians(50, 8, 1);
    const auto first = linear_probe(train, test, 2, 5);
    at::manual_seed(99);  // it draws nothing from the global generator
    const auto second = linear_probe(train, test, 2, 5);
    CHECK(at::equal(first.probabilities, second.probabilities));
    CHECK(first.l2 == second.l2);
    CHECK(first.threshold == second.threshold);
}

TEST_CASE("unit and offset of a feature do not matter to a linear probe") {
    at::manual_seed(4);
    const auto train = gaussians(100, 8, 1), test = gaussians(50, 8, 1);
    const auto scale = at::logspace(-3, 3, 8), offset = at::arange(8) * 10;
    auto train2 = train, test2 = test;
    train2.x = train.x * scale + offset * scale;
    test2.x = test.x * scale + offset * scale;
    const auto a = linear_probe(train, test, 2, 0), b = linear_probe(train2, test2, 2, 0);
    CHECK(a.l2 == b.l2);
    CHECK(at::allclose(a.probabilities, b.probabilities, 1e-3, 1e-4));
}

TEST_CASE("the fit is at the minimum: mean probabilities of the training rows are the shares of the classes") {
    at::manual_seed(5);
    auto train = gaussians(120, 6, 1.5, 3);
    for (std::size_t i = 0; i < 30; ++i) train.labels[i] = 0;  // unequal shares
    const auto probe = linear_probe(train, train, 3, 0);
    check_distributions(probe.probabilities);
    const auto mean = probe.probabilities.mean(0);
    for (int c = 0; c < 3; ++c) {
        const auto share = static_cast<double>(std::count(train.labels.begin(), train.labels.end(), c)) / 120;
        CHECK(mean[c].item<double>() == Approx(share).margin(1e-4));  // the gradient of the bias is 0
    }
    const auto scores = probe.probabilities.contiguous();
    const std::span<const double> flat(scores.const_data_ptr<double>(), 360);
    CHECK(accuracy(argmax_rows(flat, 3), train.labels) > 0.6);
}

TEST_CASE("features that are all the same give the share of each class, not a number that is none") {
    at::manual_seed(6);
    auto train = gaussians(40, 4, 0);
    train.x = at::ones({40, 4});
    const auto probe = linear_probe(train, train, 2, 0);
    CHECK(at::allclose(probe.probabilities, at::full({40, 2}, 0.5, at::kDouble), 1e-3, 1e-3));
}

TEST_CASE("k-NN: the votes of a case worked by hand") {
    // Four directions around the origin; the test row lies along the first.
    const auto train = rows(at::tensor({1.f, 0.f, -1.f, 0.f, 0.f, 1.f, 0.f, -1.f}).view({4, 2}), {0, 1, 0, 1});
    const auto test = rows(at::tensor({2.f, 0.f}).view({1, 2}), {0});
    const auto one_of = [&](std::int64_t k) { return knn(train, test, 2, k)[0][1].item<double>(); };
    const double same = std::exp(1 / 0.07), across = 1, opposite = std::exp(-1 / 0.07);
    CHECK(one_of(1) == 0);
    CHECK(one_of(3) == Approx(across / (same + 2 * across)).epsilon(1e-5));
    const double all = (across + opposite) / (same + 2 * across + opposite);
    CHECK(one_of(4) == Approx(all).epsilon(1e-5));
    CHECK(one_of(100) == Approx(all).epsilon(1e-5));  // no more neighbours than there are rows
}

TEST_CASE("k-NN compares directions from the mean of the training rows, whatever all rows share") {
    at::manual_seed(7);
    const auto train = gaussians(60, 8, 2), test = gaussians(40, 8, 2);
    auto moved_train = train, moved_test = test;
    moved_train.x = train.x + 50;
    moved_test.x = test.x + 50;
    const auto a = knn(train, test, 2, 5), b = knn(moved_train, moved_test, 2, 5);
    check_distributions(a);
    CHECK(at::allclose(a, b, 1e-3, 1e-3));
    CHECK(auc_of(a, test) > 0.85);
}

TEST_CASE("k-NN finds nothing in noise") {
    at::manual_seed(8);
    const auto train = gaussians(300, 16, 0), test = gaussians(600, 16, 0);
    CHECK(auc_of(knn(train, test, 2, 20), test) == Approx(0.5).margin(0.1));
}

TEST_CASE("k-NN goes over the test rows in blocks, and says what it would say of all at once") {
    at::manual_seed(9);
    auto train = gaussians(20'000, 8, 0.5), test = gaussians(2000, 8, 0.5);
    test.x.slice(0, 1000) = train.x.slice(0, 0, 1000);  // the same row twice ties
    at::Tensor found, several;
    double peak = 0;
    {
        const PeakOfTensors tensors;
        found = knn(train, test, 2, 20);
        peak = tensors.mib();
    }
    CHECK(peak > 50);   // it was counted
    CHECK(peak < 100);  // all similarities would be 153 MiB, and twice that in double
    const auto expected = whole_knn(train, test, 20);
    CHECK(at::allclose(found, expected, /*rtol=*/0, /*atol=*/1e-5));
    CHECK(auc_of(found, test) == Approx(auc_of(expected, test)).margin(1e-6));

    auto both = train;
    both.labels.clear();
    for (const int label : train.labels) both.labels.insert(both.labels.end(), {label, 1 - label});
    {
        const PeakOfTensors tensors;
        several = knn_answers(both, test, {2, /*several=*/true}, 20).probabilities;
        peak = tensors.mib();
    }
    CHECK(peak < 170);  // a block, and its columns where the label is known
    CHECK(at::equal(several.select(1, 0), found.select(1, 1)));
    CHECK(at::equal(several.select(1, 1), found.select(1, 0)));
}
