// Reads cases as JSON lines on standard input, writes what t-SNE and the silhouette make of them: the C++ side
// of tools/check_tsne.py.
#include <ATen/ATen.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "eval/pictures/tsne.hpp"

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        const auto given = nlohmann::json::parse(line);
        const auto rows = given.at("x").get<std::vector<std::vector<double>>>();
        std::vector<double> flat;
        for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
        const auto x = at::tensor(flat, at::kDouble).view({static_cast<std::int64_t>(rows.size()), -1});
        const auto drawn = hearth::eval::tsne(
            x, {.perplexity = given.at("perplexity").get<double>(), .iterations = 1000, .exaggeration = 12});
        nlohmann::json points = nlohmann::json::array();
        for (std::int64_t i = 0; i < x.size(0); ++i)
            points.push_back({drawn.points[i][0].item<double>(), drawn.points[i][1].item<double>()});
        const nlohmann::json result = {
            {"points", points},
            {"kl", drawn.kl},
            {"silhouette", hearth::eval::silhouette(x, given.at("groups").get<std::vector<int>>())}};
        std::cout << result.dump() << '\n';
    }
}
