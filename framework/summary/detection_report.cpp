#include "summary/detection_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "base/atomic_file.hpp"
#include "base/countdown.hpp"
#include "base/counted.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "eval/metrics/metrics.hpp"
#include "report/html.hpp"
#include "runs/loaded_run.hpp"
#include "summary/plots.hpp"
#include "summary/result_charts.hpp"
#include "summary/result_tables.hpp"

namespace hearth::summary {
namespace fs = std::filesystem;
namespace {

// One scale for all runs, in deviations: below it a heat map shows nothing, above it the hottest colour.
constexpr float coolest = 2, hottest = 8;

std::string three(double value) {
    return std::isnan(value) ? "–" : fmt::format("{:.3f}", value);
}

bool localised(const eval::Detection& detection) {
    return !std::isnan(detection.sum().pixel_auroc);
}

/// Film and heat map of one image.
void add_pictures(report::FigureRow& row, const eval::HeatMap& map) {
    const cv::Mat unit = (map.map - coolest) / (hottest - coolest);
    const cv::Mat film = enlarged(map.film, picture_side);
    cv::Mat large;
    cv::resize(unit, large, film.size(), 0, 0, cv::INTER_LINEAR);
    row.images.push_back(with_outline(map.film, map.mask, picture_side));
    row.images.push_back(report::heat_overlay(film, large));
}

/// Two images a row, as they come.
report::FigureGrid heat_grid(const eval::Detection& detection) {
    report::FigureGrid grid;
    grid.title = "Heat maps";
    grid.columns = {"film", "heat map", "film", "heat map"};
    grid.heat_scale = fmt::format("deviations above normal images, {:.0f} to {:.0f}", coolest, hottest);
    grid.caption = fmt::format(
        "Test images, abnormal and normal in turn, not picked{}. Labels: kind and score of the left and of the "
        "right "
        "image; called abnormal from {:.2f} on.",
        localised(detection) ? ", lesions outlined" : "", detection.sum().threshold);
    for (std::size_t i = 0; i < detection.heat_maps.size(); ++i) {
        const auto& map = detection.heat_maps[i];
        if (i % 2 == 0) grid.rows.emplace_back();
        auto& row = grid.rows.back();
        const auto kind = map.kind.empty() ? detection.classes[map.abnormal ? 1 : 0] : map.kind;
        row.label += fmt::format("{}{} {:.2f}", row.label.empty() ? "" : " · ", kind, map.score);
        add_pictures(row, map);
    }
    return grid;
}

/// The scores, then the baselines.
std::vector<const eval::AnomalyResult*> all_results(const eval::Detection& detection) {
    std::vector<const eval::AnomalyResult*> out;
    for (const auto* results : {&detection.results, &detection.baselines})
        for (const auto& r : *results) out.push_back(&r);
    return out;
}

report::RocChart roc(const eval::Detection& detection) {
    report::RocChart chart{.title = "ROC of images", .curves = {}, .description = ""};
    for (const auto* r : all_results(detection))
        chart.curves.push_back({r->name, eval::roc_points(r->scores, detection.labels), r->auc.value});
    return chart;
}

report::PrChart pr(const eval::Detection& detection) {
    report::PrChart chart{
        .title = "Precision and recall of images", .curves = {}, .prevalence = 0, .description = ""};
    for (const auto* r : all_results(detection))
        chart.curves.push_back({r->name, eval::pr_points(r->scores, detection.labels), r->average_precision});
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

report::Table image_table(const eval::Detection& detection) {
    using report::Align;
    report::Table table;
    table.title = "Images";
    table.headers = {"score", "AUC  [95 % interval]", "AP", "accuracy", "F1", "sens.", "spec."};
    table.align.assign(table.headers.size(), Align::right);
    table.align[0] = Align::left;
    for (const auto* r : all_results(detection))
        table.rows.push_back({r->name, eval::interval_text(r->auc), three(r->average_precision),
                              three(r->accuracy), three(r->f1), three(r->sensitivity), three(r->specificity)});
    const auto abnormal = std::count(detection.labels.begin(), detection.labels.end(), 1);
    table.caption =
        fmt::format("{} of {}, {} of them abnormal. {}.", base::counted(detection.test_images, "test image"),
                    base::counted(detection.test_patients, "patient"), abnormal, detection.protocol) +
        notes_text(detection.notes);
    return table;
}

report::Table pixel_table(const eval::Detection& detection) {
    using report::Align;
    report::Table table;
    table.title = "Pixels";
    table.headers = {"score", "pixel AUROC", "AUPRO"};
    table.align = {Align::left, Align::right, Align::right};
    for (const auto* r : all_results(detection))
        if (!std::isnan(r->pixel_auroc))
            table.rows.push_back({r->name, three(r->pixel_auroc), three(r->aupro)});
    table.caption = fmt::format("{} abnormal images with a mask; AUPRO up to a false positive rate of 0.3.",
                                detection.images_with_mask);
    return table;
}

report::Table difference_table(const eval::Detection& detection) {
    using report::Align;
    report::Table table;
    table.title = "Against pixels alone";
    table.headers = {"difference", "AUC  [95 % interval]", "p"};
    table.align = {Align::left, Align::right, Align::right};
    for (const auto& d : detection.differences)
        table.rows.push_back({detection.sum().name + " - " + d.baseline, eval::interval_text(d.auc, true),
                              std::isnan(d.auc.p_value) ? "–" : fmt::format("{:.4f}", d.auc.p_value)});
    table.caption = fmt::format("Paired bootstrap over the same test patients; p is two-sided. {}.",
                                detection.baseline_protocol);
    return table;
}

/// The first three test images, of which the first and the third are abnormal, each beside its heat map.
report::FigureGrid strip_of(const report::FigureGrid& grid) {
    report::FigureGrid strip;
    strip.heat_scale = grid.heat_scale;
    strip.caption =
        "Test images as they come, abnormal, normal, abnormal, each beside its heat map; lesions are outlined "
        "where the set has their masks.";
    strip.rows.emplace_back();
    for (const auto& row : grid.rows)
        for (const auto& image : row.images)
            if (strip.rows[0].images.size() < 6) strip.rows[0].images.push_back(image);
    strip.columns = {"film", "heat map", "film", "heat map", "film", "heat map"};
    strip.columns.resize(strip.rows[0].images.size());
    return strip;
}

std::vector<report::Highlight> highlights(const eval::Detection& detection) {
    std::vector<report::Highlight> out = {
        {"AUC, abnormal films", three(detection.sum().auc.value), interval_note(detection.sum().auc)}};
    if (localised(detection))
        out.push_back({"Pixel AUROC of heat maps", three(detection.sum().pixel_auroc), "chance is 0.5"});
    return out;
}

void save(const fs::path& folder, const eval::Detection& detection, const std::string& checkpoint) {
    auto json = eval::to_json(detection);
    json["checkpoint"] = checkpoint;
    base::make_folder(folder);
    base::write_atomically(folder / "detect.json", base::json_text(json, 1) + "\n");
    base::write_atomically(folder / "scores.csv", eval::scores_csv(detection));
    const auto plots = folder / "plots";
    save_svg(plots, "detect-roc", report::roc_chart(roc(detection)));
    save_svg(plots, "detect-pr", report::pr_chart(pr(detection)));
    if (!detection.by_kind.empty()) save_svg(plots, "detect-kinds", report::bar_chart(kinds(detection)));
    fs::remove(plots / "detect.json");  // heat maps of other scores
    if (detection.heat_maps.empty()) return;
    const auto grid = save_grid(plots, "detect", heat_grid(detection));
    base::write_atomically(plots / "detect.json", base::json_text(grid, 1) + "\n");
}

}  // namespace

std::vector<report::Table> detection_tables(const eval::Detection& detection) {
    std::vector<report::Table> out = {image_table(detection)};
    if (localised(detection)) out.push_back(pixel_table(detection));
    if (!detection.differences.empty()) out.push_back(difference_table(detection));
    return out;
}

std::vector<std::string> not_above(const eval::Detection& detection) {
    std::vector<std::string> out;
    for (const auto& d : detection.differences)
        if (!d.auc.above()) out.push_back(not_above_text(detection.sum().name, d.baseline, d.auc));
    return out;
}

eval::Detection detect_run(const runs::LoadedRun& run, bool quiet) {
    const auto shown = [countdown = base::Countdown(quiet, "detection")](
                           const std::string& part, std::int64_t done, std::int64_t total) mutable {
        countdown(part, done, total);
    };
    auto detection = eval::detect(run.recipe, run.plan, run.device, shown);
    save(run.results, detection, run.checkpoint);
    return detection;
}

std::optional<DetectionParts> detection_parts(const fs::path& folder) {
    const auto json = base::read_json_file(folder / "detect.json");
    if (json.is_null()) return std::nullopt;
    const auto detection = eval::detection_from_json(json);
    DetectionParts parts{.highlights = highlights(detection), .strip = std::nullopt, .section = {}};
    auto& section = parts.section;
    section.title = "Anomaly detection";
    for (auto& table : detection_tables(detection)) section.content.emplace_back(std::move(table));
    for (auto& line : not_above(detection)) section.content.emplace_back(report::Note{std::move(line)});
    if (const auto stored = base::read_json_file(folder / "plots/detect.json"); !stored.is_null()) {
        auto grid = load_grid(folder / "plots", stored);
        parts.strip = strip_of(grid);
        section.content.emplace_back(std::move(grid));
    }
    section.content.emplace_back(roc(detection));
    section.content.emplace_back(pr(detection));
    if (!detection.by_kind.empty()) section.content.emplace_back(kinds(detection));
    return parts;
}

}  // namespace hearth::summary
