// Small cases for the contrastive plugins, and gradients by central differences.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <functional>

#include "support/autocast.hpp"
#include "support/plugins.hpp"
#include "support/thread_comm.hpp"

namespace hearth::test {

using Changes = std::vector<std::pair<std::string, OptionValue>>;

/// Labels [B, L] (1 = abnormal), L a square number -> the mask [B, 1, 4 sqrt(L), 4 sqrt(L)] that has them.
inline at::Tensor mask_of(const at::Tensor& labels) {
    const auto edge = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(labels.size(1)))));
    return labels.view({labels.size(0), 1, edge, edge})
        .to(at::kFloat)
        .repeat_interleave(4, 2)
        .repeat_interleave(4, 3);
}

/// B images of L tokens over K clusters, in double.
struct Case {
    at::Tensor logits, prototypes, labels;
    Tensors in() const { return {{"logits", logits}, {"prototypes", prototypes}, {"mask", mask_of(labels)}}; }
};

/// A case with some abnormal tokens. Position 0 is normal everywhere, the last one in the first image only.
inline Case example(std::int64_t batch, std::int64_t length, std::int64_t clusters, std::uint64_t seed = 1) {
    at::manual_seed(seed);
    auto labels = at::rand({batch, length}) < 0.4;
    labels.select(1, 0).fill_(false);
    if (length > 1) labels.select(1, length - 1).narrow(0, 1, batch - 1).fill_(true);
    if (length > 1) labels[0][length - 1].fill_(false);
    return {at::randn({batch, length, clusters}, at::kDouble) * 0.1,
            at::randn({length, clusters}, at::kDouble).softmax(-1), labels};
}

inline Symbols symbols(std::int64_t length, std::int64_t clusters, std::int64_t dim = 1) {
    Symbols made;
    made.bind("L", length), made.bind("K", clusters), made.bind("D", dim);
    return made;
}

/// The largest difference between the gradient autograd gives for f at x and central differences.
inline double gradient_error(const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& x,
                             double step = 1e-5) {
    const auto leaf = x.detach().clone().set_requires_grad(true);
    f(leaf).backward();
    const at::NoGradGuard no_grad;
    auto moved = x.detach().contiguous().clone();
    auto numeric = at::zeros_like(moved);
    for (std::int64_t i = 0; i < moved.numel(); ++i) {
        auto entry = moved.view(-1)[i];
        entry.add_(step);
        const auto above = f(moved).item<double>();
        entry.sub_(2 * step);
        const auto below = f(moved).item<double>();
        entry.add_(step);
        numeric.view(-1)[i] = (above - below) / (2 * step);
    }
    return (leaf.grad() - numeric).abs().max().item<double>();
}

inline double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
}

/// The gradient of a loss for `logits`, as one of several processes with an equal share of the batch each has
/// it once the host has averaged: shares side by side, divided by the number of processes.
inline at::Tensor averaged_gradient(const std::string& loss, const Changes& changes, const Case& whole,
                                    int ranks) {
    const auto share = whole.logits.size(0) / ranks;
    std::vector<at::Tensor> gradients(ranks);
    run_ranks(ranks, [&](const Comm& comm) {
        const auto own = [&](const at::Tensor& x) { return x.narrow(0, comm.rank() * share, share); };
        const Case part{own(whole.logits).clone().set_requires_grad(true), whole.prototypes, own(whole.labels)};
        Context context;
        context.comm = &comm;
        make<Loss>(loss, changes)->forward(part.in(), context).total.backward();
        gradients[comm.rank()] = part.logits.grad();
    });
    return at::cat(gradients) / ranks;
}

}  // namespace hearth::test
