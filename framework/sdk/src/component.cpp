#include <fmt/format.h>

#include <hearth/component.hpp>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

namespace hearth {

std::string to_string(Kind kind) {
    switch (kind) {
        case Kind::augment:
            return "augment";
        case Kind::backbone:
            return "backbone";
        case Kind::head:
            return "head";
        case Kind::loss:
            return "loss";
    }
    return "unknown";
}

const at::Tensor& Tensors::operator[](const std::string& name) const {
    const auto found = map_.find(name);
    if (found == map_.end()) {
        std::vector<std::string> names;
        for (const auto& [key, tensor] : map_) names.push_back(key);
        throw Error(ExitCode::internal, fmt::format("no tensor '{}' here, found: {}", name, join(names)));
    }
    return found->second;
}

const Comm& Comm::local() {
    static const Comm one;
    return one;
}

}  // namespace hearth
