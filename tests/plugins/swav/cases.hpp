// Small cases for SwAV's head and loss, in double.
#pragma once

#include <ATen/ATen.h>

#include "support/plugins.hpp"
#include "support/thread_comm.hpp"

namespace hearth::test {

using Changes = std::vector<std::pair<std::string, OptionValue>>;

inline double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// Vectors of unit length along the last axis, double.
inline at::Tensor directions(at::IntArrayRef sizes, std::uint64_t seed) {
    at::manual_seed(seed);
    const auto x = at::randn(sizes, at::kDouble);
    return x / x.norm(2, -1, true);
}

/// Algorithm 1 of the paper as it is written: scores [B, K] -> codes [B, K], entry by entry.
inline at::Tensor naive_codes(const at::Tensor& scores, double epsilon = 0.05, int iterations = 3) {
    auto q = at::exp(scores / epsilon).t().contiguous();  // [K, B]
    const auto prototypes = q.size(0), images = q.size(1);
    auto cell = q.accessor<double, 2>();
    const auto divide = [&](bool rows, std::int64_t outer, std::int64_t inner) {
        for (std::int64_t i = 0; i < outer; ++i) {
            double sum = 0;
            for (std::int64_t j = 0; j < inner; ++j) sum += rows ? cell[i][j] : cell[j][i];
            for (std::int64_t j = 0; j < inner; ++j)
                (rows ? cell[i][j] : cell[j][i]) /= sum * static_cast<double>(outer);
        }
    };
    for (int i = 0; i < iterations; ++i) divide(true, prototypes, images), divide(false, images, prototypes);
    return q.t() * static_cast<double>(images);
}

/// The loss for G large and V small views, K prototypes and embeddings of D, in double, as a plan would make it.
inline std::shared_ptr<Loss> swapped(std::int64_t large, std::int64_t small, std::int64_t prototypes,
                                     std::int64_t width, const Changes& changes = {}) {
    Symbols symbols;
    symbols.bind("G", large);
    symbols.bind("K", prototypes);
    symbols.bind("D", width);
    if (small > 0) symbols.bind("V", small);
    auto loss = make<Loss>("swapped-prediction", changes, symbols);
    for (auto& item : loss->named_buffers())
        if (item.value().is_floating_point()) item.value().set_data(item.value().to(at::kDouble));
    return loss;
}

inline double term(const LossOutput& out, const std::string& wanted) {
    for (const auto& [name, value] : out.terms)
        if (name == wanted) return value.item<double>();
    throw std::runtime_error("no term " + wanted);
}

}  // namespace hearth::test
