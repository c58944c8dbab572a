// What the tests of losses over two views' embeddings share.
#pragma once

#include <catch2/catch.hpp>

#include "../pcl/cases.hpp"

namespace hearth::test {

/// What a loss says of a batch, and the gradients of what it read.
struct Answer {
    LossOutput out;
    at::Tensor first, second;
};

inline Tensors two_views(const at::Tensor& first, const at::Tensor& second) {
    return {{"first", first}, {"second", second}};
}

inline Answer answer(Loss& loss, const at::Tensor& first, const at::Tensor& second,
                     const Comm& comm = Comm::local()) {
    const auto a = first.detach().clone().requires_grad_(), b = second.detach().clone().requires_grad_();
    Context context;
    context.comm = &comm;
    auto out = loss.forward(two_views(a, b), context);
    out.total.backward();
    return {std::move(out), a.grad(), b.grad()};
}

/// Two processes with half of the batch each have, in the mean over them, the loss and the gradient of one.
inline void check_two_processes(const std::string& id, const Changes& changes, const at::Tensor& first,
                                const at::Tensor& second) {
    const auto width = first.size(1), half = first.size(0) / 2;
    const auto whole = answer(*loss_of(id, changes, width), first, second);
    const std::vector<std::shared_ptr<Loss>> losses = {loss_of(id, changes, width),
                                                       loss_of(id, changes, width)};
    std::vector<Answer> parts(2);
    run_ranks(2, [&](const Comm& comm) {
        const auto rank = static_cast<std::size_t>(comm.rank());
        const auto own = [&](const at::Tensor& all) { return all.narrow(0, half * comm.rank(), half); };
        parts[rank] = answer(*losses[rank], own(first), own(second), comm);
    });
    const auto mean = (parts[0].out.total + parts[1].out.total) / 2;
    CHECK(mean.item<double>() == Approx(whole.out.total.item<double>()).epsilon(1e-12));
    CHECK(distance(at::cat({parts[0].first, parts[1].first}) / 2, whole.first) < 1e-12);
    CHECK(distance(at::cat({parts[0].second, parts[1].second}) / 2, whole.second) < 1e-12);
}

/// Numbers that are no directions, double.
inline at::Tensor embeddings(std::int64_t rows, std::int64_t width, std::uint64_t seed) {
    at::manual_seed(seed);
    return at::randn({rows, width}, at::kDouble) * at::linspace(0.2, 2, width, at::kDouble) + 0.5;
}

}  // namespace hearth::test
