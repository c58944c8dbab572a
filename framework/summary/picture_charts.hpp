// Makes the charts and image grids of `hearth pictures` from what eval/ measures.
#pragma once

#include <filesystem>
#include <optional>

#include "eval/pictures/embeddings.hpp"
#include "eval/pictures/position_map.hpp"
#include "eval/pictures/saliency.hpp"
#include "eval/probe/segmentation.hpp"
#include "report/page.hpp"

namespace hearth::summary {

/// t-SNE of the features; the caption has the silhouette of the features themselves.
report::ScatterChart embedding_chart(const std::string& title, const eval::Embedding& embedding);

report::FigureGrid saliency_grid(const std::vector<eval::Saliency>& maps, const std::string& explained);

/// Beside each film with the truth outlined: the probability, and what is decided at the threshold.
report::FigureGrid segmentation_grid(const std::vector<eval::SegmentedFilm>& films, double threshold);

/// All positions against all, and for each position a small map of those that resemble it.
report::FigureGrid position_grid(const eval::PositionMap& map);

/// The section of the report from plots/pictures.json, or nothing.
std::optional<report::Section> pictures_section(const std::filesystem::path& folder);

}  // namespace hearth::summary
