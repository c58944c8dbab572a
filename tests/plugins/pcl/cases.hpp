// What the tests of PCL's losses share.
#pragma once

#include <ATen/ATen.h>

#include "support/gradients.hpp"
#include "support/plugins.hpp"
#include "support/thread_comm.hpp"

namespace hearth::test {

using Changes = std::vector<std::pair<std::string, OptionValue>>;

inline double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// Rows of unit length, double.
inline at::Tensor directions(std::int64_t rows, std::int64_t width, std::uint64_t seed) {
    at::manual_seed(seed);
    const auto x = at::randn({rows, width}, at::kDouble);
    return x / x.norm(2, 1, true);
}

inline at::Tensor buffer(Loss& loss, const std::string& name) {
    return loss.named_buffers()[name];
}

inline std::shared_ptr<Loss> loss_of(const std::string& id, const Changes& changes, std::int64_t width) {
    Symbols symbols;
    symbols.bind("D", width);
    auto loss = make<Loss>(id, changes, symbols);
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
