#include "cli/picture_charts.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "cli/plots.hpp"
#include "eval/class_auc.hpp"
#include "eval/metrics.hpp"
#include "eval/tsne.hpp"
#include "report/html.hpp"

namespace hearth::cli {
namespace {

constexpr int picture_side = 224;

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

std::string bars_by_class(const eval::Evaluation& evaluation) {
    report::BarChart chart{.title = "AUC of each class against the rest, linear probe",
                           .value_label = "AUC",
                           .bars = {},
                           .baseline = 0.5,
                           .description = ""};
    for (std::size_t c = 0; c < evaluation.classes.size(); ++c) {
        for (const auto& s : evaluation.scores) {
            if (s.classifier != "linear" || s.model == "pixels") continue;
            const auto rest =
                eval::against_rest(s.probabilities, evaluation.classes.size(), evaluation.labels, c);
            const auto auc =
                eval::bootstrap(evaluation.patients, eval::ResampledAuc(rest.scores, rest.positive),
                                {.resamples = 2000, .seed = 0});
            chart.bars.push_back({fmt::format("{}, {}", evaluation.classes[c], s.model), auc.value, auc.low,
                                  auc.high, s.model == "trained"});
        }
    }
    return report::bar_chart(chart);
}

}  // namespace

report::ScatterChart embedding_chart(const std::string& title, const eval::Embedding& embedding) {
    const auto n = embedding.x.size(0);
    const double perplexity = std::min(30.0, std::floor(static_cast<double>(n - 1) / 3));
    const auto drawn =
        eval::tsne(embedding.x, {.perplexity = perplexity, .iterations = 1000, .exaggeration = 12});
    report::ScatterChart chart;
    chart.title = title;
    for (const auto& name : embedding.names) chart.groups.push_back({name, {}, {}});
    for (std::int64_t i = 0; i < n; ++i) {
        auto& group = chart.groups[static_cast<std::size_t>(embedding.groups[static_cast<std::size_t>(i)])];
        group.x.push_back(drawn.points[i][0].item<double>());
        group.y.push_back(drawn.points[i][1].item<double>());
    }
    chart.caption = fmt::format("{} points, perplexity {:.0f}, KL {:.2f}; silhouette of the features {:.3f}", n,
                                perplexity, drawn.kl, eval::silhouette(embedding.x, embedding.groups));
    return chart;
}

report::FigureGrid saliency_grid(const std::vector<eval::Saliency>& maps, const std::string& explained) {
    report::FigureGrid grid;
    grid.title = "Where the network looks";
    grid.columns = {"film", "attention roll-out", fmt::format("Grad-CAM for '{}'", explained)};
    grid.heat_scale = "from the least to the largest value of each film";
    grid.caption = fmt::format(
        "Grad-CAM: what speaks for '{}' in a linear probe on the frozen features. The first test "
        "films of each class, not picked.",
        explained);
    for (const auto& map : maps) {
        const auto film = enlarged(map.film, picture_side);
        grid.rows.push_back({fmt::format("{}; the probe says {:.2f}", map.label, map.probability),
                             {with_outline(map.film, map.mask, picture_side), over_film(film, map.rollout),
                              over_film(film, map.cam)}});
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

std::vector<std::pair<std::string, std::string>> result_charts(const eval::Evaluation& evaluation) {
    if (evaluation.classes.size() > 2) return {{"auc-by-class", bars_by_class(evaluation)}};
    report::RocChart roc{.title = "ROC of the linear probe", .curves = {}, .description = ""};
    report::PrChart pr{
        .title = "Precision and recall of the linear probe", .curves = {}, .prevalence = 0, .description = ""};
    pr.prevalence = static_cast<double>(std::count(evaluation.labels.begin(), evaluation.labels.end(), 1)) /
                    static_cast<double>(evaluation.labels.size());
    for (const auto& s : evaluation.scores) {
        if (s.classifier != "linear") continue;
        const auto positive = eval::column(s.probabilities, 2, 1);
        roc.curves.push_back({s.model, eval::roc_points(positive, evaluation.labels), s.auc.value});
        pr.curves.push_back({s.model, eval::pr_points(positive, evaluation.labels),
                             eval::average_precision(positive, evaluation.labels)});
    }
    return {{"roc", report::roc_chart(roc)}, {"pr", report::pr_chart(pr)}};
}

}  // namespace hearth::cli
