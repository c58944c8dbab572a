#include "eval/pictures/saliency.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <hearth/tokens.hpp>
#include <optional>
#include <set>

#include "eval/anomaly/images.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;

constexpr std::int64_t probe_images = 2000;

/// A value for each patch [L] as an image of the patch grid, from 0 for the least to 1 for the largest.
cv::Mat to_grid(const Tensor& values, const Tensor& image) {
    const auto above = values - values.min();
    const auto plain = (above / above.max().clamp_min(1e-12)).to(at::kFloat).contiguous();
    const auto patch = patch_edge(image.size(-2), image.size(-1), plain.size(0));
    cv::Mat grid(static_cast<int>(image.size(-2) / patch), static_cast<int>(image.size(-1) / patch), CV_32F);
    std::copy_n(plain.const_data_ptr<float>(), plain.numel(), grid.ptr<float>());
    return grid;
}

std::vector<std::int64_t> first_of_each_class(const Labels& labels, std::int64_t count) {
    std::vector<std::vector<std::int64_t>> of(labels.classes.size() + 1);
    const auto strata = labels.strata();
    for (std::size_t i = 0; i < strata.size(); ++i)
        if (labels.several || strata[i] > 0)
            of[static_cast<std::size_t>(strata[i])].push_back(static_cast<std::int64_t>(i));
    std::vector<std::int64_t> out;
    for (std::size_t i = 0; std::ssize(out) < count && i < strata.size(); ++i)
        for (auto rows = of.rbegin(); rows != of.rend() && std::ssize(out) < count; ++rows)
            if (i < rows->size()) out.push_back((*rows)[i]);
    return out;
}

Tensor to_batch(const cv::Mat& film, std::int64_t channels) {
    const cv::Mat whole = film.isContinuous() ? film : film.clone();
    return at::from_blob(const_cast<float*>(whole.ptr<float>()), {1, 1, film.rows, film.cols}, at::kFloat)
        .expand({1, channels, film.rows, film.cols})
        .clone();
}

}  // namespace

Tensor attention_rollout(const Tensor& attention) {
    const auto n = attention.size(-1);
    const auto mean = attention.to(at::kDouble).mean(2);  // [B, depth, N, N]
    auto with_residual = 0.5 * mean + 0.5 * at::eye(n, mean.options());
    with_residual = with_residual / with_residual.sum(-1, true);
    auto rollout = with_residual.select(1, 0);
    for (std::int64_t block = 1; block < with_residual.size(1); ++block)
        rollout = at::matmul(with_residual.select(1, block), rollout);
    return rollout;
}

Tensor grad_cam(const Tensor& activations, const Tensor& scores, std::int64_t prefix) {
    const auto gradient = torch::autograd::grad({scores.sum()}, {activations})[0];  // [B, N, D]
    const auto weights = gradient.slice(1, prefix).mean(1, true);
    return (weights * activations.detach()).sum(-1).clamp_min(0);
}

std::vector<Saliency> saliency_maps(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                    const std::pair<LabelledSet, LabelledSet>& splits, const plan::Plan& plan,
                                    const Context& context, std::int64_t count) {
    const auto network = backbone_network(plan, spec);
    const auto extractor = backbone_features(plan, network, spec.features, context);
    const auto& [train, test] = splits;
    const auto classes = test.labels.classes.size();
    const auto limit = spec.limit > 0 ? std::min(spec.limit, probe_images) : probe_images;
    std::optional<LinearProbe> probe;
    if (!test.labels.several) {
        const auto features = extract(train, recipe.data, limit, extractor, context.device);
        probe = linear_probe(features, features, classes, static_cast<std::uint64_t>(recipe.train.seed));
    }

    static const std::set<std::string> wanted = {"tokens", "cls", "attention", "activations"};
    auto asking = context;
    asking.wanted = &wanted;
    std::vector<Saliency> out;
    std::vector<data::Quarantined> unusable;  // without an outline, then
    for (const auto index : first_of_each_class(test.labels, count)) {
        Saliency one;
        one.name = test.images->name(index);
        one.label = test.labels.name(index);
        one.film = test.images->load(index);
        one.mask = load_mask(test, index, spec, recipe.detect ? recipe.detect->mask : spec.mask, recipe.data,
                             unusable);
        const auto image = to_batch(one.film, recipe.data.channels).to(context.device);
        const at::AutoGradMode with_graph(true);
        const auto made = plan.features(network, image, asking);
        Tensor logits;
        if (probe) {
            const auto x = join_features(made, features_of(plan, network, spec.features), network)
                               .to(at::kCPU, at::kDouble);
            logits = at::addmm(probe->bias, (x - probe->mean) / probe->scale, probe->weight);
            one.probability = logits.softmax(1)[0][-1].item<double>();
        }
        if (probe && made.has("activations")) {
            const auto& activations = made["activations"];
            const auto prefix = activations.size(1) - made["tokens"].size(1);
            // For the class and against the others: a constant added to all logits changes nothing.
            const auto score = logits.select(1, -1) - logits.slice(1, 0, -1).mean(1);
            one.cam = to_grid(grad_cam(activations, score, prefix)[0].slice(0, prefix).to(at::kCPU), image);
        }
        if (made.has("attention")) {
            const auto rollout = attention_rollout(made["attention"].detach());
            const auto prefix = rollout.size(1) - made["tokens"].size(1);
            // What reaches the class token, or all tokens together where there is none.
            const auto reached = prefix > 0 ? rollout[0][0] : rollout[0].mean(0);
            one.rollout = to_grid(reached.slice(0, prefix).to(at::kCPU), image);
        }
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace hearth::eval
