#include "runs/metrics.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace hearth::runs {
namespace {

/// The keys that the loop itself wrote in Hearth 0.1: all others were loss terms.
const std::vector<std::string> keys_of_0_1 = {"step",          "epoch",      "time",  "images_per_second",
                                              "loader_stall",  "memory_mib", "lr",    "weight_decay",
                                              "gradient_norm", "momentum",   "loss",  "std",
                                              "rank",          "entropy",    "phases"};

nlohmann::json as_now(nlohmann::json line) {
    if (line.contains("event") || line.contains("terms") || line.contains("parts")) return line;
    nlohmann::json out = nlohmann::json::object();
    for (auto& [key, value] : line.items()) {
        const bool own = std::ranges::find(keys_of_0_1, key) != keys_of_0_1.end();
        (own ? out : out["terms"])[key == "phases" ? "parts" : key] = std::move(value);
    }
    return out;
}

}  // namespace

std::vector<nlohmann::json> read_metrics(const std::filesystem::path& file) {
    std::vector<nlohmann::json> lines;
    std::ifstream in(file);
    for (std::string text; std::getline(in, text);) {
        auto line = nlohmann::json::parse(text, nullptr, false);
        if (line.is_object()) lines.push_back(as_now(std::move(line)));
    }
    return lines;
}

}  // namespace hearth::runs
