#include "summary/picture_charts.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "base/json_text.hpp"
#include "report/html.hpp"
#include "summary/plots.hpp"

namespace hearth::summary {
namespace {

cv::Mat resized(const cv::Mat& image, cv::Size size, int how) {
    cv::Mat out;
    cv::resize(image, out, size, 0, 0, how);
    return out;
}

cv::Mat over_film(const cv::Mat& film, const cv::Mat& values) {
    if (values.empty()) return {};
    return report::heat_overlay(film, resized(values, film.size(), cv::INTER_CUBIC));
}

/// [L] -> a grid of the image's patches.
cv::Mat to_grid(const at::Tensor& values) {
    const auto side = static_cast<int>(std::llround(std::sqrt(static_cast<double>(values.size(0)))));
    const auto plain = values.contiguous();
    cv::Mat grid(side, side, CV_32F);
    std::copy_n(plain.const_data_ptr<float>(), plain.numel(), grid.ptr<float>());
    return grid;
}

/// For each position, at its place, the map of what resembles it.
cv::Mat mosaic(const at::Tensor& similarity) {
    const auto side = static_cast<int>(std::llround(std::sqrt(static_cast<double>(similarity.size(0)))));
    const int scale = std::max(1, 640 / (side * side)), cell = side * scale, gap = 3;
    cv::Mat sheet(side * (cell + gap) - gap, side * (cell + gap) - gap, CV_8UC3, cv::Scalar(255, 255, 255));
    for (int row = 0; row < side; ++row)
        for (int column = 0; column < side; ++column) {
            const auto map = report::heat_map(to_grid(similarity[row * side + column]));
            resized(map, {cell, cell}, cv::INTER_NEAREST)
                .copyTo(sheet(cv::Rect(column * (cell + gap), row * (cell + gap), cell, cell)));
        }
    return sheet;
}

}  // namespace

Drawn drawn(const at::Tensor& x) {
    const double perplexity = std::min(30.0, std::floor(static_cast<double>(x.size(0) - 1) / 3));
    return {eval::tsne(x, {.perplexity = perplexity, .iterations = 1000, .exaggeration = 12}), perplexity};
}

report::ScatterChart embedding_chart(const std::string& title, const eval::Embedding& embedding,
                                     const Drawn& drawn) {
    const auto n = embedding.x.size(0);
    report::ScatterChart chart;
    chart.title = title;
    for (const auto& name : embedding.names) chart.groups.push_back({name, {}, {}});
    for (std::int64_t i = 0; i < n; ++i) {
        auto& group = chart.groups[static_cast<std::size_t>(embedding.groups[static_cast<std::size_t>(i)])];
        group.x.push_back(drawn.tsne.points[i][0].item<double>());
        group.y.push_back(drawn.tsne.points[i][1].item<double>());
    }
    chart.caption =
        fmt::format("{} points, perplexity {:.0f}, KL {:.2f}; silhouette of the features {:.3f}", n,
                    drawn.perplexity, drawn.tsne.kl, eval::silhouette(embedding.x, embedding.groups));
    return chart;
}

report::ScatterChart embedding_chart(const std::string& title, const eval::Embedding& embedding) {
    return embedding_chart(title, embedding, drawn(embedding.x));
}

report::FigureGrid saliency_grid(const std::vector<eval::Saliency>& maps, const std::string& explained) {
    const bool with_cam = !maps.empty() && !maps.front().cam.empty();
    report::FigureGrid grid;
    grid.title = "Where the network looks";
    grid.columns = {"film", "attention roll-out"};
    grid.heat_scale = "from the least to the largest value of each film";
    grid.caption = "The first test films of each class, not picked.";
    if (with_cam) {
        grid.columns.push_back(fmt::format("Grad-CAM for '{}'", explained));
        grid.caption +=
            fmt::format(" Grad-CAM: what speaks for '{}' in a linear probe on the frozen features.", explained);
    }
    for (const auto& map : maps) {
        const auto film = enlarged(map.film, picture_side);
        report::FigureRow row{map.label, {with_outline(map.film, map.mask, picture_side)}};
        row.images.push_back(over_film(film, map.rollout));
        if (with_cam) row.images.push_back(over_film(film, map.cam));
        if (!std::isnan(map.probability)) row.label += fmt::format("; the probe says {:.2f}", map.probability);
        grid.rows.push_back(std::move(row));
    }
    return grid;
}

report::FigureGrid segmentation_grid(const std::vector<eval::SegmentedFilm>& films, double threshold) {
    report::FigureGrid grid;
    grid.title = "Segmentation";
    grid.columns = {"film, the truth outlined", "probability", fmt::format("inside, from {:.2f}", threshold)};
    grid.heat_scale = "probability, 0 to 1";
    grid.caption = "The first test films with something inside, not picked.";
    for (const auto& one : films) {
        const cv::Mat inside = one.probability >= threshold;
        grid.rows.push_back({fmt::format("Dice {:.2f}", eval::dice(inside, one.mask)),
                             {with_outline(one.film, one.mask, picture_side),
                              over_film(enlarged(one.film, picture_side), one.probability),
                              with_outline(one.film, inside, picture_side)}});
    }
    return grid;
}

report::FigureGrid position_grid(const eval::PositionMap& map) {
    report::FigureGrid grid;
    grid.title = fmt::format("{}: which position resembles which", map.name);
    grid.columns = {"all against all, row by row", "each position's map, at its place"};
    grid.heat_scale = "cosine similarity, 0 to 1";
    const auto whole = report::heat_map([&] {
        const auto plain = map.similarity.contiguous();
        cv::Mat values(static_cast<int>(plain.size(0)), static_cast<int>(plain.size(1)), CV_32F);
        std::copy_n(plain.const_data_ptr<float>(), plain.numel(), values.ptr<float>());
        return values;
    }());
    const int scale = std::max(1, 640 / whole.cols);
    grid.rows.push_back(
        {"", {resized(whole, whole.size() * scale, cv::INTER_NEAREST), mosaic(map.similarity)}});
    return grid;
}

std::optional<report::Section> pictures_section(const std::filesystem::path& folder) {
    const auto json = base::read_json_file(folder / "plots/pictures.json");
    if (json.is_null()) return std::nullopt;
    report::Section section;
    section.title = "Pictures";
    for (const auto& entry : json["scatters"]) section.content.emplace_back(scatter_from_json(entry));
    for (const auto& entry : json.value("clusters", nlohmann::json::array()))
        section.content.emplace_back(cluster_table(entry));
    for (const auto& entry : json["grids"]) section.content.emplace_back(load_grid(folder / "plots", entry));
    return section;
}

}  // namespace hearth::summary
