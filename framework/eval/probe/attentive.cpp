#include "eval/probe/attentive.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "eval/metrics/xoshiro.hpp"
#include "eval/probe/one_thread.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;

/// Mean and deviation [D] of each channel over all tokens of the training images.
struct TokenStandard {
    Tensor mean, scale;
};

TokenStandard standard_of(const Tensor& x) {
    constexpr std::int64_t chunk = 256;
    const auto count = static_cast<double>(x.size(0) * x.size(1));
    auto sum = at::zeros({x.size(2)}, at::kDouble), squares = sum.clone();
    for (std::int64_t i = 0; i < x.size(0); i += chunk)
        sum += x.slice(0, i, i + chunk).to(at::kDouble).sum(at::IntArrayRef{0, 1});
    const auto mean = sum / count;
    for (std::int64_t i = 0; i < x.size(0); i += chunk)
        squares += (x.slice(0, i, i + chunk).to(at::kDouble) - mean).square().sum(at::IntArrayRef{0, 1});
    return {mean.to(at::kFloat), (squares / count).sqrt().clamp_min(1e-8).to(at::kFloat)};
}

/// The weights of G probes that are trained side by side: the costly part, reading the tokens, is then done
/// once. With H heads of d numbers each and C columns.
struct Weights {
    Tensor query;         // [G, H, d]
    Tensor key, value;    // [G, H, D, d]
    Tensor linear, bias;  // [G, H * d, C], [G, 1, C]

    std::vector<Tensor> all() const { return {query, key, value, linear, bias}; }
};

Weights draw(std::int64_t probes, std::int64_t width, std::int64_t columns, std::uint64_t seed) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const auto heads = attention_heads(width), depth = width / heads;
    const auto fan = 1 / std::sqrt(static_cast<double>(width));
    const auto alike = [&](const Tensor& one) {  // every probe starts from the same weights
        return one.unsqueeze(0).repeat_interleave(probes, 0).set_requires_grad(true);
    };
    const auto normal = [&](at::IntArrayRef shape, double deviation) {
        return at::randn(shape, generator) * deviation;
    };
    return {alike(normal({heads, depth}, 0.1)), alike(normal({heads, width, depth}, fan)),
            alike(normal({heads, width, depth}, fan)), alike(at::zeros({width, columns})),
            alike(at::zeros({1, columns}))};
}

/// Logits [G, B, C] of tokens [B, L, D]. Keys and values are never made token by token: a score is q . (K x) =
/// (K' q) . x, and what a head gathers is V applied to the attended mean of x. Likewise for (x - mean) / scale,
/// whose mean shifts all scores alike.
Tensor logits_of(const Weights& weights, const Tensor& x, const TokenStandard& standard) {
    const auto probes = weights.query.size(0), heads = weights.query.size(1), depth = weights.query.size(2);
    const auto images = x.size(0);
    const auto directions = at::matmul(weights.key, weights.query.unsqueeze(3)).squeeze(3) / standard.scale;
    const auto scores = at::matmul(x, directions.flatten(0, 1).t()) / std::sqrt(static_cast<double>(depth));
    const auto attention = scores.softmax(1).transpose(1, 2);                            // [B, G * H, L]
    const auto gathered = (at::bmm(attention, x) - standard.mean) / standard.scale;      // [B, G * H, D]
    const auto values = at::bmm(gathered.transpose(0, 1), weights.value.flatten(0, 1));  // [G * H, B, d]
    const auto joined = values.view({probes, heads, images, depth}).transpose(1, 2);
    return at::baddbmm(weights.bias, joined.reshape({probes, images, heads * depth}), weights.linear);
}

/// What a probe is to say, and how much each of its answers counts.
struct Targets {
    Tensor classes;         // [N], one label
    Tensor labels, weight;  // [N, K], several
};

Targets targets_of(const FeatureSet& set, const Task& task) {
    Targets out;
    const auto all = at::tensor(std::vector<std::int64_t>(set.labels.begin(), set.labels.end()), at::kLong);
    if (!task.several) return {all, {}, {}};
    const auto table = all.view({-1, static_cast<std::int64_t>(task.classes)});
    const auto known = (table >= 0).to(at::kFloat);
    out.labels = table.clamp_min(0).to(at::kFloat);
    // The mean over labels of the mean over the images where a label is known.
    out.weight = known / known.mean(0, true).clamp_min(1e-12) / static_cast<double>(task.classes);
    return out;
}

/// Summed over probes, which do not touch each other's weights.
Tensor loss_of(const Tensor& logits, const Targets& targets, const Tensor& rows) {
    if (targets.classes.defined()) {
        const auto truth =
            targets.classes.index_select(0, rows).view({1, -1, 1}).expand({logits.size(0), -1, 1});
        return -logits.log_softmax(2).gather(2, truth).sum() / rows.size(0);
    }
    const auto truth = targets.labels.index_select(0, rows);
    const auto each = at::softplus(logits) - logits * truth;  // the cross-entropy of sigmoid(logits)
    return (each * targets.weight.index_select(0, rows)).sum() / rows.size(0);
}

/// One AdamW (Loshchilov & Hutter 2019) for probes of different settings, [G] each.
class Optimiser {
  public:
    Optimiser(std::vector<Tensor> weights, const std::vector<double>& rates, const std::vector<double>& decays)
        : weights_(std::move(weights)),
          rates_(at::tensor(rates, at::kFloat)),
          decays_(at::tensor(decays, at::kFloat)) {
        for (const auto& tensor : weights_) {
            first_.push_back(at::zeros_like(tensor));
            second_.push_back(at::zeros_like(tensor));
        }
    }

    void step(double share) {  // of the learning rate
        const at::NoGradGuard no_grad;
        ++steps_;
        for (std::size_t i = 0; i < weights_.size(); ++i) {
            auto& weight = weights_[i];
            const auto& gradient = weight.grad();
            first_[i].lerp_(gradient, 1 - beta1);
            second_[i].mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
            const auto mean = first_[i] / (1 - std::pow(beta1, steps_));
            const auto deviation = (second_[i] / (1 - std::pow(beta2, steps_))).sqrt().add_(1e-8);
            std::vector<std::int64_t> by_probe(static_cast<std::size_t>(weight.dim()), 1);
            by_probe[0] = -1;
            const auto rate = (rates_ * share).view(by_probe);
            const bool is_bias = i + 1 == weights_.size();
            if (!is_bias) weight.mul_(1 - rate * decays_.view(by_probe));
            weight.sub_(rate * (mean / deviation));
            weight.mutable_grad().zero_();
        }
    }

  private:
    static constexpr double beta1 = 0.9, beta2 = 0.999;
    std::vector<Tensor> weights_, first_, second_;
    Tensor rates_, decays_;
    std::int64_t steps_ = 0;
};

double share_of_rate(std::int64_t step, std::int64_t steps) {
    const auto warm = std::max<std::int64_t>(1, steps / 10);
    if (step < warm) return static_cast<double>(step + 1) / static_cast<double>(warm);
    const auto done =
        static_cast<double>(step - warm) / static_cast<double>(std::max<std::int64_t>(1, steps - warm));
    return 0.5 * (1 + std::cos(std::numbers::pi * done));
}

/// Batches of rows, each row once an epoch; what does not fill a batch waits for another epoch's order.
class Batches {
  public:
    Batches(std::vector<std::int64_t> rows, std::int64_t size, std::uint64_t seed)
        : rows_(std::move(rows)), size_(std::min<std::int64_t>(size, std::ssize(rows_))), random_(seed) {
        at_ = std::ssize(rows_);
    }
    std::int64_t size() const { return size_; }
    Tensor next() {
        if (at_ + size_ > std::ssize(rows_)) {
            at_ = 0;
            for (std::size_t i = rows_.size(); i > 1; --i)
                std::swap(rows_[i - 1], rows_[random_.below(static_cast<std::uint32_t>(i))]);
        }
        const auto first = rows_.begin() + at_;
        at_ += size_;
        return at::tensor(std::vector<std::int64_t>(first, first + size_), at::kLong);
    }

  private:
    std::vector<std::int64_t> rows_;
    std::int64_t size_, at_ = 0;
    Xoshiro random_;
};

/// What all fits of a probe have in common.
struct Setting {
    const FeatureSet& train;
    const Task& task;
    const AttentiveOptions& options;
    const Say& say;
    TokenStandard standard;
    Targets targets;
};

/// Probes with these learning rates and weight decays, trained on these rows.
Weights fit(const Setting& setting, const std::vector<std::int64_t>& rows, const std::vector<double>& rates,
            const std::vector<double>& decays, const char* what) {
    const auto& options = setting.options;
    const auto& x = setting.train.x;
    const auto weights =
        draw(std::ssize(rates), x.size(2), static_cast<std::int64_t>(setting.task.classes), options.seed);
    Optimiser optimiser(weights.all(), rates, decays);
    Batches batches(rows, options.batch, options.seed);
    const auto steps = std::max(options.least_steps, 10 * std::ssize(rows) / batches.size());
    auto batch = at::empty({batches.size(), x.size(1), x.size(2)}, x.options());  // made once: it is large
    const at::AutoGradMode on(true);
    for (std::int64_t step = 0; step < steps; ++step) {
        if (setting.say && step % 100 == 0)
            setting.say(fmt::format("attentive probe: {}, step {} of {}", what, step, steps));
        const auto chosen = batches.next();
        at::index_select_out(batch, x, 0, chosen);
        loss_of(logits_of(weights, batch, setting.standard), setting.targets, chosen).backward();
        optimiser.step(share_of_rate(step, steps));
    }
    return weights;
}

/// Probabilities [G, rows, C].
Tensor predict(const Setting& setting, const Weights& weights, const Tensor& x) {
    const at::NoGradGuard no_grad;
    std::vector<Tensor> parts;
    for (std::int64_t i = 0; i < x.size(0); i += setting.options.batch)
        parts.push_back(
            logits_of(weights, x.slice(0, i, i + setting.options.batch), setting.standard).to(at::kDouble));
    const auto logits = at::cat(parts, 1);
    return setting.task.several ? logits.sigmoid() : logits.softmax(2);
}

}  // namespace

std::int64_t attention_heads(std::int64_t width) {
    auto heads = std::max<std::int64_t>(1, width / 64);
    while (width % heads != 0) --heads;
    return heads;
}

Answers attentive_answers(const FeatureSet& train, const FeatureSet& test, const Task& task,
                          const AttentiveOptions& options, const Say& say) {
    // A step is some ten products of thin matrices: two threads that wait for each other gain nothing here
    // either.
    const OneThread guard(train.x.numel() < 64 * OneThread::small);
    const Setting setting{train, task, options, say, standard_of(train.x), targets_of(train, task)};
    std::vector<double> rates, decays;
    for (const double rate : options.learning_rates)
        for (const double decay : options.weight_decays) {
            rates.push_back(rate);
            decays.push_back(decay);
        }
    const auto [fitted, held] = hold_out(train.patients, options.seed);
    Answers out;
    out.learning_rate = rates[rates.size() / 2];
    out.weight_decay = decays[rates.size() / 2];
    if (!fitted.empty() && !held.empty()) {
        const auto weights = fit(setting, fitted, rates, decays, "choosing the learning rate");
        const auto answers = predict(setting, weights, train.x.index_select(0, at::tensor(held, at::kLong)));
        const auto labels = labels_of(train, task, held);
        double best = -1;
        for (std::int64_t i = 0; i < answers.size(0); ++i) {
            const double value = selection_auc(answers[i], task, labels);
            if (!(value > best)) continue;
            best = value;
            out.learning_rate = rates[static_cast<std::size_t>(i)];
            out.weight_decay = decays[static_cast<std::size_t>(i)];
            out.thresholds = best_thresholds(answers[i], task, labels);
        }
    }
    if (out.thresholds.empty() && (task.several || task.binary()))
        out.thresholds.assign(task.several ? task.classes : 1, 0.5);
    std::vector<std::int64_t> all(train.patients.size());
    std::iota(all.begin(), all.end(), std::int64_t{0});
    const auto weights =
        fit(setting, all, {out.learning_rate}, {out.weight_decay}, "fitting all training images");
    out.probabilities = predict(setting, weights, test.x)[0];
    return out;
}

}  // namespace hearth::eval
