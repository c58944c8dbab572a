#include "eval/probe/classifiers.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/lbfgs.h>

#include <algorithm>
#include <cmath>

#include "eval/metrics/metrics.hpp"
#include "eval/probe/multilabel.hpp"
#include "eval/probe/one_thread.hpp"

namespace hearth::eval {
namespace {

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

std::vector<double> of_class(const at::Tensor& probabilities, std::int64_t c) {
    return numbers_of(probabilities.select(1, c));
}

at::Tensor as_tensor(const std::vector<int>& labels) {
    return at::tensor(std::vector<std::int64_t>(labels.begin(), labels.end()), at::kLong);
}

/// The rows where label c of several is known, and that label.
struct Known {
    std::vector<std::int64_t> rows;
    std::vector<int> labels;
};

Known known_of(const FeatureSet& set, const Task& task, std::size_t c) {
    Known out;
    for (std::size_t row = 0; row < set.patients.size(); ++row) {
        const int label = set.labels[row * task.classes + c];
        if (label < 0) continue;
        out.rows.push_back(static_cast<std::int64_t>(row));
        out.labels.push_back(label);
    }
    return out;
}

/// Those rows as a set with one label.
FeatureSet known_rows(const FeatureSet& set, const Task& task, std::size_t c) {
    auto known = known_of(set, task, c);
    FeatureSet out;
    for (const auto row : known.rows) out.patients.push_back(set.patients[static_cast<std::size_t>(row)]);
    out.labels = std::move(known.labels);
    out.x = out.patients.size() == set.patients.size()
                ? set.x
                : set.x.index_select(0, at::tensor(known.rows, at::kLong));
    return out;
}

at::Tensor unknown_everywhere(const FeatureSet& test) {
    return at::full({test.x.size(0)}, 0.5, at::kDouble);
}

/// Bytes of the similarities that are there at once: those of 25,596 rows with 86,524 would take 9 GB.
constexpr std::int64_t most_similarities = std::int64_t{64} << 20;

/// vote(similarity) for some test rows after others, with their cosine similarity [n, N train] to all training
/// rows; together what they return, on the CPU. Features are taken less the mean of the training rows: a
/// constant offset common to all images would make every similarity nearly 1.
template <class Vote>
at::Tensor vote_by_blocks(const FeatureSet& train, const FeatureSet& test, const Vote& vote) {
    const auto mean = train.x.mean(0, true);
    const auto unit = [&](const at::Tensor& x) {
        auto moved = x - mean;
        return moved.div_(moved.norm(2, 1, true).clamp_min_(1e-12));
    };
    const auto keys = unit(train.x).t();
    const auto row_bytes = keys.size(1) * static_cast<std::int64_t>(keys.element_size());
    const auto rows = std::max<std::int64_t>(1, most_similarities / row_bytes);
    std::vector<at::Tensor> votes;
    for (std::int64_t first = 0; first == 0 || first < test.x.size(0); first += rows)
        votes.push_back(vote(at::mm(unit(test.x.slice(0, first, first + rows)), keys)));
    return at::cat(votes).to(at::kCPU);
}

/// Shares [N, C] of the votes of the k nearest rows; `y` [N train] holds their classes.
at::Tensor vote(const at::Tensor& similarity, const at::Tensor& y, std::int64_t classes, std::int64_t k) {
    const auto [value, index] = similarity.topk(std::min<std::int64_t>(k, similarity.size(1)), 1);
    auto votes = at::zeros({similarity.size(0), classes}, similarity.options().dtype(at::kDouble));
    votes.scatter_add_(1, y.index_select(0, index.flatten()).view_as(index),
                       (value.to(at::kDouble) / 0.07).exp());
    return votes / votes.sum(1, true);
}

}  // namespace

std::vector<double> numbers_of(const at::Tensor& tensor) {
    const auto plain = tensor.to(at::kDouble).contiguous();
    const auto* data = plain.const_data_ptr<double>();
    return {data, data + plain.numel()};
}

Division hold_out(const std::vector<int>& patients, std::uint64_t seed) {
    Division out;
    for (std::size_t i = 0; i < patients.size(); ++i) {
        hearth::Random random(
            {.seed = seed, .epoch = 0, .sample = static_cast<std::uint64_t>(patients[i]), .stream = 7});
        (random.chance(0.2) ? out.held : out.fitted).push_back(static_cast<std::int64_t>(i));
    }
    return out;
}

std::vector<int> labels_of(const FeatureSet& set, const Task& task, const std::vector<std::int64_t>& rows) {
    const auto width = static_cast<std::int64_t>(task.several ? task.classes : 1);
    std::vector<int> out;
    for (const auto row : rows) {
        const auto first = set.labels.begin() + row * width;
        out.insert(out.end(), first, first + width);
    }
    return out;
}

double selection_auc(const at::Tensor& probabilities, const Task& task, const std::vector<int>& labels) {
    if (task.binary()) return auc(of_class(probabilities, 1), labels);
    if (!task.several) return macro_auc(numbers_of(probabilities), task.classes, labels);
    return mean_defined(label_auc(numbers_of(probabilities), task.classes, labels));
}

std::vector<double> best_thresholds(const at::Tensor& probabilities, const Task& task,
                                    const std::vector<int>& labels) {
    if (task.several) return label_thresholds(numbers_of(probabilities), task.classes, labels);
    if (!task.binary()) return {};
    const double best = best_f1_threshold(of_class(probabilities, 1), labels).value;
    return {std::isfinite(best) ? best : 0.5};
}

LinearProbe linear_probe(const FeatureSet& train, const FeatureSet& test, std::size_t classes,
                         std::uint64_t seed) {
    const OneThread guard(train.x.numel() < OneThread::small);
    const auto count = static_cast<std::int64_t>(classes);
    const auto raw = train.x.to(at::kDouble);
    const auto mean = raw.mean(0, true), scale = raw.std(0, false, true).clamp_min(1e-8);
    const auto x = (raw - mean) / scale, x_test = (test.x.to(at::kDouble) - mean) / scale;
    const auto y = as_tensor(train.labels);

    // A fifth of the patients is held out to choose the strength and the threshold.
    const Task task{classes, false};
    const auto [fitted, held] = hold_out(train.patients, seed);
    const auto fitted_rows = at::tensor(fitted, at::kLong), held_rows = at::tensor(held, at::kLong);
    const auto held_labels = labels_of(train, task, held);

    LinearProbe best;
    best.l2 = 1e-2;
    double best_auc = -1;
    for (const double l2 : {1e-4, 1e-3, 1e-2, 1e-1, 1.0}) {
        if (fitted.empty() || held.empty()) break;
        const auto probabilities = fit(x.index_select(0, fitted_rows), y.index_select(0, fitted_rows), count,
                                       l2)(x.index_select(0, held_rows));
        const double value = selection_auc(probabilities, task, held_labels);
        if (!(value > best_auc)) continue;
        best_auc = value;
        best.l2 = l2;
        if (classes == 2) best.threshold = best_thresholds(probabilities, task, held_labels).front();
    }
    const auto last = fit(x, y, count, best.l2);
    best.probabilities = last(x_test);
    best.mean = mean;
    best.scale = scale;
    best.weight = last.weight;
    best.bias = last.bias;
    return best;
}

Answers linear_answers(const FeatureSet& train, const FeatureSet& test, const Task& task, std::uint64_t seed) {
    Answers out;
    if (!task.several) {
        const auto probe = linear_probe(train, test, task.classes, seed);
        out.probabilities = probe.probabilities;
        out.l2 = {probe.l2};
        if (task.binary()) out.thresholds = {probe.threshold};
        return out;
    }
    std::vector<at::Tensor> columns;
    for (std::size_t c = 0; c < task.classes; ++c) {
        const auto known = known_rows(train, task, c);
        const auto probe = known.labels.empty() ? LinearProbe() : linear_probe(known, test, 2, seed);
        columns.push_back(known.labels.empty() ? unknown_everywhere(test) : probe.probabilities.select(1, 1));
        out.thresholds.push_back(probe.threshold);
        out.l2.push_back(probe.l2);
    }
    out.probabilities = at::stack(columns, 1);
    return out;
}

at::Tensor knn(const FeatureSet& train, const FeatureSet& test, std::size_t classes, std::int64_t k) {
    const auto y = as_tensor(train.labels).to(train.x.device());
    return vote_by_blocks(train, test, [&](const at::Tensor& similarity) {
        return vote(similarity, y, static_cast<std::int64_t>(classes), k);
    });
}

Answers knn_answers(const FeatureSet& train, const FeatureSet& test, const Task& task, std::int64_t k) {
    Answers out;
    if (!task.several) {
        out.probabilities = knn(train, test, task.classes, k);
        out.neighbours = std::min(k, train.x.size(0));
        return out;
    }
    out.neighbours = k;
    std::vector<std::pair<at::Tensor, at::Tensor>> known;  // by label: rows, and what holds there
    for (std::size_t c = 0; c < task.classes; ++c) {
        const auto [rows, labels] = known_of(train, task, c);
        out.neighbours = std::min(out.neighbours, std::ssize(rows));
        known.emplace_back(at::tensor(rows, at::kLong).to(train.x.device()),
                           as_tensor(labels).to(train.x.device()));
    }
    out.probabilities = vote_by_blocks(train, test, [&](const at::Tensor& similarity) {
        std::vector<at::Tensor> columns;
        for (const auto& [rows, labels] : known)
            columns.push_back(rows.numel() == 0
                                  ? at::full({similarity.size(0)}, 0.5, similarity.options().dtype(at::kDouble))
                                  : vote(similarity.index_select(1, rows), labels, 2, k).select(1, 1));
        return at::stack(columns, 1);
    });
    return out;
}

}  // namespace hearth::eval
