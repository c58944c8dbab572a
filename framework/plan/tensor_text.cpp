#include "plan/tensor_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace hearth::plan {

std::string sizes_text(const at::Tensor& tensor) {
    return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

std::string dtype_text(at::ScalarType type) {
    switch (type) {
        case at::kFloat:
            return "float32";
        case at::kDouble:
            return "float64";
        case at::kHalf:
            return "float16";
        case at::kBFloat16:
            return "bfloat16";
        case at::kByte:
            return "uint8";
        case at::kInt:
            return "int32";
        case at::kLong:
            return "int64";
        case at::kBool:
            return "bool";
        default:
            return c10::toString(type);
    }
}

}  // namespace hearth::plan
