#include "eval/classifiers.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/lbfgs.h>

#include <algorithm>
#include <cmath>

#include "eval/metrics.hpp"
#include "eval/one_thread.hpp"

namespace hearth::eval {
namespace {

constexpr std::int64_t small = 1 << 20;  // numbers in the training features

struct Linear {
    at::Tensor weight, bias;
    at::Tensor operator()(const at::Tensor& x) const { return at::addmm(bias, x, weight).softmax(1); }
};

Linear fit(const at::Tensor& x, const at::Tensor& y, std::int64_t classes, double l2) {
    auto weight = at::zeros({x.size(1), classes}, x.options()).set_requires_grad(true);
    auto bias = at::zeros({classes}, x.options()).set_requires_grad(true);
    torch::optim::LBFGS lbfgs(
        {weight, bias},
        torch::optim::LBFGSOptions(1.0).max_iter(100).history_size(10).tolerance_grad(1e-6).line_search_fn(
            "strong_wolfe"));
    const at::AutoGradMode on(true);
    lbfgs.step([&] {
        lbfgs.zero_grad();
        auto loss = torch::nn::functional::cross_entropy(at::addmm(bias, x, weight), y) +
                    0.5 * l2 * weight.square().sum();
        loss.backward();
        return loss;
    });
    return {weight.detach(), bias.detach()};
}

std::vector<double> flat(const at::Tensor& probabilities) {
    const auto plain = probabilities.to(at::kDouble).contiguous();
    const auto* data = plain.const_data_ptr<double>();
    return {data, data + plain.numel()};
}

std::vector<double> column(const at::Tensor& probabilities, std::int64_t c) {
    return flat(probabilities.select(1, c));
}

}  // namespace

LinearProbe linear_probe(const FeatureSet& train, const FeatureSet& test, std::size_t classes,
                         std::uint64_t seed) {
    const OneThread guard(train.x.numel() < small);  // a fit is thousands of small operations
    const auto count = static_cast<std::int64_t>(classes);
    const auto raw = train.x.to(at::kDouble);
    const auto mean = raw.mean(0, true), scale = raw.std(0, false, true).clamp_min(1e-8);
    const auto x = (raw - mean) / scale, x_test = (test.x.to(at::kDouble) - mean) / scale;
    const auto y = at::tensor(std::vector<std::int64_t>(train.labels.begin(), train.labels.end()), at::kLong);

    // A fifth of the patients is held out to choose the strength and the threshold.
    std::vector<std::int64_t> fitted, held;
    for (std::size_t i = 0; i < train.labels.size(); ++i) {
        Random random(
            {.seed = seed, .epoch = 0, .sample = static_cast<std::uint64_t>(train.patients[i]), .stream = 7});
        (random.chance(0.2) ? held : fitted).push_back(static_cast<std::int64_t>(i));
    }
    const auto fitted_rows = at::tensor(fitted, at::kLong), held_rows = at::tensor(held, at::kLong);
    std::vector<int> held_labels;
    for (const auto row : held) held_labels.push_back(train.labels[static_cast<std::size_t>(row)]);

    LinearProbe best;
    best.l2 = 1e-2;
    double best_auc = -1;
    for (const double l2 : {1e-4, 1e-3, 1e-2, 1e-1, 1.0}) {
        if (fitted.empty() || held.empty()) break;
        const auto probabilities = fit(x.index_select(0, fitted_rows), y.index_select(0, fitted_rows), count,
                                       l2)(x.index_select(0, held_rows));
        const double value = classes == 2 ? auc(column(probabilities, 1), held_labels)
                                          : macro_auc(flat(probabilities), classes, held_labels);
        if (!(value > best_auc)) continue;
        best_auc = value;
        best.l2 = l2;
        if (classes == 2) {
            const auto threshold = best_f1_threshold(column(probabilities, 1), held_labels).value;
            if (std::isfinite(threshold)) best.threshold = threshold;
        }
    }
    const auto last = fit(x, y, count, best.l2);
    best.probabilities = last(x_test);
    best.mean = mean;
    best.scale = scale;
    best.weight = last.weight;
    best.bias = last.bias;
    return best;
}

at::Tensor knn(const FeatureSet& train, const FeatureSet& test, std::size_t classes, std::int64_t k) {
    const auto unit = [](const at::Tensor& x) { return x / x.norm(2, 1, true).clamp_min(1e-12); };
    const auto y = at::tensor(std::vector<std::int64_t>(train.labels.begin(), train.labels.end()), at::kLong);
    // Features are centred first: a constant offset common to all images would make every similarity nearly 1.
    const auto mean = train.x.mean(0, true);
    const auto similarity = at::mm(unit(test.x - mean), unit(train.x - mean).t()).to(at::kDouble);
    const auto [value, index] = similarity.topk(std::min<std::int64_t>(k, similarity.size(1)), 1);
    auto votes = at::zeros({test.x.size(0), static_cast<std::int64_t>(classes)}, at::kDouble);
    votes.scatter_add_(1, y.index_select(0, index.flatten()).view_as(index), (value / 0.07).exp());
    return votes / votes.sum(1, true);
}

}  // namespace hearth::eval
