// Charts and image grids of `hearth pictures`, from what eval/ measures.
#pragma once

#include "cli/run.hpp"
#include "eval/embeddings.hpp"
#include "eval/position_map.hpp"
#include "eval/saliency.hpp"
#include "eval/segmentation.hpp"
#include "report/page.hpp"

namespace hearth::cli {

/// t-SNE of the features; the caption has the silhouette of the features themselves.
report::ScatterChart embedding_chart(const std::string& title, const eval::Embedding& embedding);

report::FigureGrid saliency_grid(const std::vector<eval::Saliency>& maps, const std::string& explained);

/// Beside each film with the truth outlined: the probability, and what is decided at the threshold.
report::FigureGrid segmentation_grid(const std::vector<eval::SegmentedFilm>& films, double threshold);

/// All positions against all, and for each position a small map of those that resemble it.
report::FigureGrid position_grid(const eval::PositionMap& map);

}  // namespace hearth::cli
