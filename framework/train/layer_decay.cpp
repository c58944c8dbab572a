#include "train/layer_decay.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace hearth::train {
namespace {

/// "student.backbone.blocks.3.norm.weight" -> "blocks.3"; "" where there is no number.
std::string layer_of(const std::string& rest) {
    for (std::size_t start = 0; start < rest.size();) {
        const auto end = std::min(rest.find('.', start), rest.size());
        if (end > start && std::all_of(rest.begin() + static_cast<std::ptrdiff_t>(start),
                                       rest.begin() + static_cast<std::ptrdiff_t>(end),
                                       [](char c) { return c >= '0' && c <= '9'; }))
            return rest.substr(0, end);
        start = end + 1;
    }
    return "";
}

}  // namespace

std::vector<double> layer_factors(const std::vector<std::string>& names, double decay) {
    static const std::string marker = ".backbone.";
    std::map<std::string, std::vector<std::string>> layers;  // by network, from below
    std::vector<int> height(names.size(), -1);               // 0: below all layers; -1: no part of a backbone
    const auto network_of = [&](const std::string& name) {
        const auto at = name.find(marker);
        return at == std::string::npos ? "" : name.substr(0, at);
    };
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto network = network_of(names[i]);
        if (network.empty()) continue;
        auto& known = layers[network];
        const auto layer = layer_of(names[i].substr(network.size() + marker.size()));
        if (!layer.empty() && std::find(known.begin(), known.end(), layer) == known.end())
            known.push_back(layer);
        const auto found = std::find(known.begin(), known.end(), layer);
        height[i] = !layer.empty() ? static_cast<int>(found - known.begin()) + 1 : known.empty() ? 0 : -1;
    }
    std::vector<double> factors;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto count = static_cast<int>(layers[network_of(names[i])].size());
        factors.push_back(height[i] < 0 ? 1.0 : std::pow(decay, count + 1 - height[i]));
    }
    return factors;
}

}  // namespace hearth::train
