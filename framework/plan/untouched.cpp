#include "plan/untouched.hpp"

#include <fmt/format.h>

namespace hearth::plan {
namespace {

/// Tensors that were made in inference mode are not counted.
std::int64_t version_of(const at::Tensor& tensor) {
    return tensor.defined() && !tensor.is_inference() ? static_cast<std::int64_t>(tensor._version()) : 0;
}

}  // namespace

Untouched::Untouched(const Tensors& in) : in_(in) {
    for (const auto& [name, tensor] : in) versions_.push_back(version_of(tensor));
}

const std::string* Untouched::changed() const {
    std::size_t i = 0;
    for (const auto& [name, tensor] : in_)
        if (versions_[i++] != version_of(tensor)) return &name;
    return nullptr;
}

Tensors copied(const Tensors& tensors) {
    Tensors out;
    for (const auto& [name, tensor] : tensors)
        out.set(name, tensor.defined() ? tensor.detach().clone() : tensor);
    return out;
}

std::string changed_text(const std::string& input) {
    return fmt::format(
        "input '{}': found it changed in place, expected it as it was, since others read it too; change a copy "
        "of "
        "it (clone())",
        input);
}

}  // namespace hearth::plan
