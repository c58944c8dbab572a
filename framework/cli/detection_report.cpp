#include "cli/detection_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "cli/plots.hpp"
#include "eval/metrics.hpp"
#include "report/html.hpp"
#include "train/files.hpp"

namespace hearth::cli {
namespace fs = std::filesystem;
namespace {

constexpr int picture_side = 224;
constexpr float coolest = 1;  ///< deviations that a heat map shows as nothing

std::string three(double value) {
    return std::isnan(value) ? "–" : fmt::format("{:.3f}", value);
}

bool localised(const eval::Detection& detection) {
    return !std::isnan(detection.sum().pixel_auroc);
}

/// The value that the hottest half percent of all shown pixels exceed: one scale for all maps.
float hottest(const std::vector<eval::HeatMap>& maps) {
    std::vector<float> values;
    for (const auto& map : maps) values.insert(values.end(), map.map.begin<float>(), map.map.end<float>());
    const auto place =
        values.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), place, values.end());
    return std::max(*place, coolest + 1);
}

report::FigureGrid heat_grid(const eval::Detection& detection) {
    report::FigureGrid grid;
    grid.title = "Heat maps";
    const float top = hottest(detection.heat_maps);
    grid.columns = {"film", "heat map"};
    if (localised(detection)) grid.columns[0] = "film, outline of the lesion";
    grid.heat_scale = fmt::format("deviations above normal images, {:.0f} to {:.1f}", coolest, top);
    grid.caption =
        fmt::format("Test images, abnormal and normal in turn, not picked. Score: {}, threshold {:.2f}.",
                    detection.sum().name, detection.sum().threshold);
    for (const auto& map : detection.heat_maps) {
        const cv::Mat unit = (map.map - coolest) / (top - coolest);
        const cv::Mat film = enlarged(map.film, picture_side);
        cv::Mat large;
        cv::resize(unit, large, film.size(), 0, 0, cv::INTER_LINEAR);
        const auto kind = map.kind.empty() ? detection.classes[map.abnormal ? 1 : 0] : map.kind;
        grid.rows.push_back(
            {fmt::format("{}: score {:.2f}{}", kind, map.score,
                         map.score >= detection.sum().threshold ? ", called abnormal" : ""),
             {with_outline(map.film, map.mask, picture_side), report::heat_overlay(film, large)}});
    }
    return grid;
}

report::RocChart roc(const eval::Detection& detection) {
    report::RocChart chart{.title = "ROC of images", .curves = {}, .description = ""};
    for (const auto& r : detection.results)
        chart.curves.push_back({r.name, eval::roc_points(r.scores, detection.labels), r.auc.value});
    return chart;
}

report::PrChart pr(const eval::Detection& detection) {
    report::PrChart chart{
        .title = "Precision and recall of images", .curves = {}, .prevalence = 0, .description = ""};
    for (const auto& r : detection.results)
        chart.curves.push_back({r.name, eval::pr_points(r.scores, detection.labels), r.average_precision});
    const auto abnormal = std::count(detection.labels.begin(), detection.labels.end(), 1);
    chart.prevalence = static_cast<double>(abnormal) / static_cast<double>(detection.labels.size());
    return chart;
}

report::BarChart kinds(const eval::Detection& detection) {
    report::BarChart chart{.title = "AUC by kind, against all normal images",
                           .value_label = "AUC",
                           .bars = {},
                           .baseline = 0.5,
                           .description = ""};
    for (const auto& k : detection.by_kind)
        chart.bars.push_back(
            {fmt::format("{} ({})", k.kind, k.images), k.auc.value, k.auc.low, k.auc.high, false});
    return chart;
}

}  // namespace

report::Table detection_table(const eval::Detection& detection) {
    using report::Align;
    report::Table table;
    table.title = "Anomaly detection";
    table.headers = {"score", "AUC  [95 % interval]", "AP", "accuracy", "F1", "sensitivity", "specificity"};
    const bool pixels = localised(detection);
    if (pixels) table.headers.insert(table.headers.end(), {"pixel AUROC", "AUPRO"});
    table.align.assign(table.headers.size(), Align::right);
    table.align[0] = Align::left;
    for (const auto& r : detection.results) {
        table.rows.push_back({r.name,
                              fmt::format("{:.3f}  [{:.3f}, {:.3f}]", r.auc.value, r.auc.low, r.auc.high),
                              three(r.average_precision), three(r.accuracy), three(r.f1), three(r.sensitivity),
                              three(r.specificity)});
        if (pixels) table.rows.back().insert(table.rows.back().end(), {three(r.pixel_auroc), three(r.aupro)});
    }
    const auto abnormal = std::count(detection.labels.begin(), detection.labels.end(), 1);
    table.caption =
        fmt::format("{} test images of {} patients, {} of them abnormal{}. {}.", detection.test_images,
                    detection.test_patients, abnormal,
                    pixels ? fmt::format(", {} with a mask; AUPRO up to a false positive rate of 0.3",
                                         detection.images_with_mask)
                           : "",
                    detection.protocol);
    return table;
}

void save_detection(const fs::path& folder, const eval::Detection& detection, const std::string& checkpoint) {
    auto json = eval::to_json(detection);
    json["checkpoint"] = checkpoint;
    train::write_atomically(folder / "detect.json", json.dump(1) + "\n");
    train::write_atomically(folder / "scores.csv", eval::scores_csv(detection));
    const auto plots = folder / "plots";
    save_svg(plots, "detect-roc", report::roc_chart(roc(detection)));
    save_svg(plots, "detect-pr", report::pr_chart(pr(detection)));
    if (!detection.by_kind.empty()) save_svg(plots, "detect-kinds", report::bar_chart(kinds(detection)));
    fs::remove(plots / "detect.json");  // heat maps of other scores
    if (detection.heat_maps.empty()) return;
    const auto grid = save_grid(plots, "detect", heat_grid(detection));
    train::write_atomically(plots / "detect.json", grid.dump(1) + "\n");
}

std::optional<report::Section> detection_section(const fs::path& folder) {
    const auto json = read_json_file(folder / "detect.json");
    if (json.is_null()) return std::nullopt;
    const auto detection = eval::detection_from_json(json);
    report::Section section;
    section.title = "Anomaly detection";
    section.content.emplace_back(detection_table(detection));
    section.content.emplace_back(roc(detection));
    section.content.emplace_back(pr(detection));
    if (!detection.by_kind.empty()) section.content.emplace_back(kinds(detection));
    if (const auto grid = read_json_file(folder / "plots/detect.json"); !grid.is_null())
        section.content.emplace_back(load_grid(folder / "plots", grid));
    return section;
}

}  // namespace hearth::cli
