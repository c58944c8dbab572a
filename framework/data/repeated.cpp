#include "data/repeated.hpp"

#include <fmt/format.h>

#include <unordered_set>

namespace hearth::data {

std::optional<std::string> repeated_images(const Dataset& images) {
    std::unordered_set<std::string> seen;
    std::string first;
    for (std::int64_t i = 0; i < images.size(); ++i) {
        const auto name = images.name(i);
        if (!seen.insert(name).second && first.empty()) first = name;
    }
    const auto repeated = images.size() - static_cast<std::int64_t>(seen.size());
    if (repeated == 0) return std::nullopt;
    return fmt::format(
        "{} of {} rows name an image that an earlier row names, such as {}: each counts as an image of its own",
        repeated, images.size(), first);
}

}  // namespace hearth::data
