// Makes the charts and image grids of `hearth pictures` from what eval/ measures.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "eval/pictures/clusters.hpp"
#include "eval/pictures/embeddings.hpp"
#include "eval/pictures/position_map.hpp"
#include "eval/pictures/saliency.hpp"
#include "eval/pictures/tsne.hpp"
#include "eval/probe/segmentation.hpp"
#include "report/page.hpp"

namespace hearth::summary {

/// Features in the plane, which several charts may colour in their ways.
struct Drawn {
    eval::Tsne tsne;
    double perplexity;
};
Drawn drawn(const at::Tensor& x);

/// t-SNE of the features; the caption has the silhouette of the features themselves.
report::ScatterChart embedding_chart(const std::string& title, const eval::Embedding& embedding,
                                     const Drawn& drawn);
report::ScatterChart embedding_chart(const std::string& title, const eval::Embedding& embedding);

/// What pictures.json holds of it: all clusters and labels.
nlohmann::json to_json(const eval::CrossTable& table);
/// The same for a spreadsheet: a line for each cluster, a column for each label.
std::string to_csv(const eval::CrossTable& table);
/// From to_json(): the largest clusters and the most frequent labels, the rest in one line and one column, and
/// below how well they agree.
report::Table cluster_table(const nlohmann::json& json);
/// "purity 0.81, normalised mutual information 0.23; by chance .." with what the numbers are of.
std::string agreement_text(const nlohmann::json& json);

report::FigureGrid saliency_grid(const std::vector<eval::Saliency>& maps, const std::string& explained);

/// Beside each film with the truth outlined: the probability, and what is decided at the threshold.
report::FigureGrid segmentation_grid(const std::vector<eval::SegmentedFilm>& films, double threshold);

/// All positions against all, and for each position a small map of those that resemble it.
report::FigureGrid position_grid(const eval::PositionMap& map);

/// The section of the report from plots/pictures.json, or nothing.
std::optional<report::Section> pictures_section(const std::filesystem::path& folder);

}  // namespace hearth::summary
