// Gathers what a run's report.html holds, from its folder and a few example images.
#include "summary/run_report.hpp"

#include <fmt/format.h>

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <sstream>

#include "base/atomic_file.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "base/time_text.hpp"
#include "eval/pictures/examples.hpp"
#include "plan/followers.hpp"
#include "report/page.hpp"
#include "runs/loaded_run.hpp"
#include "runs/metrics.hpp"
#include "runs/run_costs.hpp"
#include "runs/run_record.hpp"
#include "summary/detection_report.hpp"
#include "summary/picture_charts.hpp"
#include "summary/plots.hpp"
#include "summary/result_charts.hpp"
#include "summary/result_tables.hpp"
#include "train/run_folder.hpp"
#include "train/terms.hpp"

namespace hearth::summary {
namespace {

using report::Section;

std::string read_text(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string field(const nlohmann::json& json, const char* key) {
    const auto found = json.find(key);
    if (found == json.end()) return "";
    return found->is_string() ? found->get<std::string>() : base::json_text(*found);
}

/// A value of a metrics line, by its keys from the outermost on; null where there is none.
using Path = std::vector<std::string>;
const nlohmann::json* find(const nlohmann::json& line, const Path& path) {
    const auto* at = &line;
    for (const auto& key : path) {
        const auto next = at->find(key);
        if (next == at->end()) return nullptr;
        at = &*next;
    }
    return at;
}

report::Series series(const std::vector<nlohmann::json>& lines, const Path& path) {
    report::Series out;
    out.name = path.size() > 2 ? path[1] : path.back();
    for (const auto& line : lines) {
        const auto* value = find(line, path);
        if (value == nullptr || !line.contains("step")) continue;
        out.x.push_back(line["step"].get<double>());
        out.y.push_back(value->is_number() ? value->get<double>() : std::numeric_limits<double>::quiet_NaN());
    }
    return out;
}

report::Chart chart(const std::string& title, const std::vector<nlohmann::json>& lines,
                    const std::vector<Path>& paths, const std::string& y_label = "") {
    report::Chart out;
    out.title = title;
    out.x_label = "step";
    out.y_label = y_label;
    for (const auto& path : paths) {
        auto line = series(lines, path);
        if (!line.x.empty()) out.series.push_back(std::move(line));
    }
    // A loss that falls by two orders of magnitude in its first epoch would hide the rest on a linear axis.
    double low = std::numeric_limits<double>::infinity(), high = 0;
    for (const auto& line : out.series) {
        for (const double y : line.y) {
            if (std::isnan(y)) continue;
            low = std::min(low, y);
            high = std::max(high, y);
        }
    }
    out.log_y = low > 0 && high / low > 100;
    return out;
}

/// The keys below one of a line's tables, in the order of the first lines that have them.
std::vector<std::string> keys_below(const std::vector<nlohmann::json>& lines, const char* table) {
    std::vector<std::string> keys;
    for (const auto& line : lines) {
        const auto found = line.find(table);
        if (found == line.end()) continue;
        for (const auto& [key, value] : found->items())
            if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    }
    return keys;
}

/// A value of the step, and where a step has several phases, of each of them.
std::vector<Path> of_phases(const std::vector<std::string>& phases, const std::string& key) {
    std::vector<Path> out = {{key}};
    for (const auto& phase : phases) out.push_back({"phases", phase, key});
    return out;
}

/// What [validate] watched.
std::set<std::string> watched_in(const std::vector<nlohmann::json>& lines) {
    std::set<std::string> out;
    for (const auto& line : lines)
        if (line.contains("validate")) out.insert(line.value("watch", "total"));
    return out;
}

Section curves(const std::vector<nlohmann::json>& lines) {
    Section section;
    section.title = "Training";
    const auto phases = keys_below(lines, "phases"), terms = keys_below(lines, "terms");
    const auto titles = train::short_names(terms);
    auto losses = of_phases(phases, "loss");
    if (!phases.empty()) losses.erase(losses.begin());  // their sum says nothing
    std::vector<report::Chart> charts = {chart("Loss", lines, losses)};
    for (std::size_t i = 0; i < terms.size(); ++i)
        charts.push_back(chart(titles[i], lines, {{"terms", terms[i]}}));
    for (const auto& watched : watched_in(lines))
        charts.push_back(chart("Validation: " + watched, lines, {{"validate", watched}}));
    charts.push_back(chart("Probe while training", lines, {{"knn_auc"}, {"knn_accuracy"}}));
    charts.push_back(chart("Effective rank of the features", lines, {{"rank"}}));
    charts.push_back(chart("Feature spread and entropy of assignments", lines, {{"std"}, {"entropy"}}));
    charts.push_back(chart("Learning rate", lines, of_phases(phases, "lr")));
    charts.push_back(chart("Images per second", lines, {{"images_per_second"}}));
    charts.push_back(chart("Loader stall", lines, {{"loader_stall"}}, "share of the time"));
    for (auto& c : charts)
        if (!c.series.empty()) section.content.emplace_back(std::move(c));
    return section;
}

report::Plan plan_picture(const plan::Plan& plan) {
    report::Plan out;
    out.title = "Dataflow";
    std::vector<std::string> sources;
    for (const auto& node : plan.nodes())
        if (node.runs)
            out.nodes.push_back({node.id, node.id, to_string(node.kind), node.network,
                                 node.kind != Kind::loss && node.kind != Kind::augment && !node.trained});
    for (const auto& [from, to, wire] : plan.edges()) {
        if (!to->runs || (from != nullptr && !from->runs)) continue;  // the latter is read by a fit alone
        if (from == nullptr && std::find(sources.begin(), sources.end(), wire->name) == sources.end())
            sources.push_back(wire->name);
        out.edges.push_back(
            {from == nullptr ? wire->name : from->id, to->id, wire->port, to_string(wire->shape), false});
    }
    for (const auto& source : sources)
        out.nodes.insert(out.nodes.begin(), {source, source, "source", "", false});
    for (const auto& [leader, follower] : plan::follower_edges(plan))
        if (leader->runs && follower->runs) out.edges.push_back({leader->id, follower->id, "EMA", "", true});
    return out;
}

Section pictures(const eval::Examples& examples) {
    Section section;
    section.title = "Examples";
    const auto count = examples.tensors.has("image") ? examples.tensors["image"].size(0)
                       : examples.views.empty()      ? 0
                                                     : examples.tensors[examples.views.front()].size(0);
    if (!examples.views.empty()) {
        report::FigureGrid grid;
        grid.title = "What the augments make";
        grid.columns = examples.views;
        for (std::int64_t i = 0; i < count; ++i) {
            report::FigureRow row;
            for (const auto& view : examples.views) row.images.push_back(picture(examples.tensors[view], i));
            grid.rows.push_back(std::move(row));
        }
        section.content.emplace_back(std::move(grid));
    }
    for (const auto& r : examples.restorations) {
        report::FigureGrid grid;
        grid.title = fmt::format("{}: from {} towards {}", r.output, r.input, r.target);
        grid.columns = {r.input, r.output, r.target, "|input - target|", "|output - target|"};
        grid.heat_scale = "absolute difference, 0 to 0.3";
        grid.caption = fmt::format(
            "Where the input differs from its target ({} images): mean error {:.4f} before, {:.4f} after; "
            "PSNR {:.1f} dB before, {:.1f} dB after. Elsewhere the output is off by {:.4f}. Grey levels in "
            "[0, 1].",
            r.images, r.input_error, r.output_error, r.psnr_input, r.psnr_output, r.elsewhere);
        const auto &x = examples.tensors[r.input], &y = examples.tensors[r.output],
                   &z = examples.tensors[r.target];
        for (std::int64_t i = 0; i < std::min<std::int64_t>(count, 6); ++i)
            grid.rows.push_back({"",
                                 {picture(x, i), picture(y, i), picture(z, i),
                                  report::heat_map(picture((x - z).abs() / 0.3, i)),
                                  report::heat_map(picture((y - z).abs() / 0.3, i))}});
        section.content.emplace_back(std::move(grid));
    }
    return section;
}

std::string value_text(const eval::Interval& interval, bool sign) {
    if (std::isnan(interval.value)) return "undefined";
    return sign ? fmt::format("{:+.3f}", interval.value) : fmt::format("{:.3f}", interval.value);
}

/// The first two restorations in one row, for the first screen.
report::FigureGrid restoration_strip(const eval::Restoration& restored, const eval::Examples& examples) {
    report::FigureGrid strip;
    strip.caption = fmt::format("{} is drawn from {}; {} is what it should be.", restored.output,
                                restored.input, restored.target);
    strip.rows.emplace_back();
    for (std::int64_t i = 0; i < std::min<std::int64_t>(2, restored.images); ++i)
        for (const auto& name : {restored.input, restored.output, restored.target}) {
            strip.columns.push_back(name.substr(name.find('.') + 1));
            strip.rows[0].images.push_back(enlarged(picture(examples.tensors[name], i), picture_side));
        }
    return strip;
}

std::vector<report::Highlight> highlights(const eval::Evaluation& evaluation) {
    std::vector<report::Highlight> out;
    if (const auto& s = evaluation.segmentation)
        out.push_back({"Dice", value_text(s->dice, false), interval_note(s->dice)});
    for (const auto& s : evaluation.scores)
        if (s.model == "trained")
            out.push_back(
                {"AUC, " + classifier_text(s.classifier), value_text(s.auc, false), interval_note(s.auc)});
    for (const auto& d : evaluation.differences)
        if (d.classifier == classifiers_of({evaluation}).front())
            out.push_back(
                {d.baseline == "pixels" ? "AUC over projected pixels" : "AUC over the untrained backbone",
                 value_text(d.auc, true), interval_note(d.auc, true)});
    return out;
}

Section results(const eval::Evaluation& evaluation) {
    Section section;
    section.title = "Results";
    for (auto& table : result_tables(evaluation)) section.content.emplace_back(std::move(table));
    for (auto& line : not_above(evaluation)) section.content.emplace_back(report::Note{std::move(line)});
    for (auto& chart : result_charts(evaluation))
        std::visit([&](auto& drawn) { section.content.emplace_back(std::move(drawn)); }, chart.chart);
    return section;
}

Section repeat(const runs::LoadedRun& run) {
    Section section;
    section.title = "To repeat this run";
    std::string command;
    if (const auto words = run.environment.find("command"); words != run.environment.end())
        for (const auto& word : *words) command += (command.empty() ? "" : " ") + word.get<std::string>();
    section.content.emplace_back(report::Pre{"Command", command, true});
    section.content.emplace_back(report::Pre{"Resolved recipe, with the origin of each value",
                                             read_text(run.folder / "resolved.toml"), false});
    section.content.emplace_back(report::Pre{"Plan", read_text(run.folder / "plan.txt"), false});
    section.content.emplace_back(
        report::Pre{"Environment and plugins", base::json_text(run.environment, 2), false});
    return section;
}

std::vector<std::pair<std::string, std::string>> facts(const runs::LoadedRun& run) {
    std::vector<std::pair<std::string, std::string>> out = {
        {"run", run.folder.string()},
        {"started", field(run.run, "started")},
        {"status", field(run.run, "status")},
        {"epochs", fmt::format("{} of {}", field(run.run, "epoch"), run.recipe.train.epochs)},
        {"seed", std::to_string(run.recipe.train.seed)},
        {"checkpoint", run.checkpoint},
        {"commit", field(run.environment, "git_commit").substr(0, 12) +
                       (run.environment.value("git_changes", false) ? " with uncommitted changes" : "")},
        {"recipe hash", field(run.run, "recipe_hash")},
        {"device", run.device.str()}};
    if (!run.asked.empty()) out.emplace_back("asked", join(run.asked, " "));
    return out;
}

std::vector<std::string> warnings(const runs::LoadedRun& run, const std::vector<nlohmann::json>& metrics) {
    auto out = run.plan.warnings();
    for (auto& alarm : runs::alarms_of(metrics)) out.push_back(std::move(alarm));
    if (const auto bad = run.run.value("quarantined", 0); bad > 0)
        out.push_back(fmt::format("{} unreadable images were left out; quarantine.json names them", bad));
    return out;
}

void write_restorations(const std::filesystem::path& folder,
                        const std::vector<eval::Restoration>& restorations) {
    nlohmann::json all = nlohmann::json::array();
    for (const auto& r : restorations)
        all.push_back({{"output", r.output},
                       {"input", r.input},
                       {"target", r.target},
                       {"input_error", r.input_error},
                       {"output_error", r.output_error},
                       {"elsewhere", r.elsewhere},
                       {"psnr_input", r.psnr_input},
                       {"psnr_output", r.psnr_output},
                       {"images", r.images}});
    base::write_atomically(folder / "restorations.json", base::json_text(all, 2) + "\n");
}

}  // namespace

std::filesystem::path write_report(runs::LoadedRun& run) {
    const auto found = [&](const char* file) {
        return std::filesystem::exists(run.results / file) ? run.results : run.folder;
    };
    const auto metrics = runs::read_metrics(run.folder / "metrics.jsonl");
    const auto evaluation = runs::read_evaluation(found("eval.json"));
    const auto detection = detection_parts(found("detect.json"));
    const auto examples = eval::make_examples(run.recipe, run.plan, run.device, 8);
    report::Report page;
    page.title = run.recipe.name;
    page.subtitle = run.recipe.description.substr(0, run.recipe.description.find('\n'));
    page.facts = facts(run);
    page.warnings = warnings(run, metrics);
    page.footer = fmt::format("Written by hearth {} on {}", HEARTH_VERSION, base::utc_now());

    if (detection) {
        page.highlights = detection->highlights;
        if (detection->strip) page.strips.push_back(*detection->strip);
        page.sections.push_back(detection->section);
    }
    for (const auto& r : examples.restorations)
        page.highlights.push_back({fmt::format("Error where {} differs", r.input),
                                   fmt::format("{:.3f} → {:.3f}", r.input_error, r.output_error),
                                   fmt::format("mean absolute, before and after {}", r.output)});
    if (!examples.restorations.empty())
        page.strips.push_back(restoration_strip(examples.restorations.front(), examples));
    if (evaluation) {
        std::ranges::copy(evaluation->notes, std::back_inserter(page.warnings));
        std::ranges::move(highlights(*evaluation), std::back_inserter(page.highlights));
        page.sections.push_back(results(*evaluation));
    } else {
        page.sections.push_back(
            {"Results", "", {report::Note{"Not evaluated: run `hearth probe` on this folder.", false}}});
    }
    if (const auto section = pictures(examples); !section.content.empty()) page.sections.push_back(section);
    if (auto section = pictures_section(found("plots/pictures.json")))
        page.sections.push_back(std::move(*section));
    page.sections.push_back(curves(metrics));
    page.sections.push_back({"Plan", "", {plan_picture(run.plan)}});
    page.sections.push_back(repeat(run));

    base::make_folder(run.results);
    if (!page.strips.empty()) save_sheet(run.results / "plots", "overview", page.strips);
    write_restorations(run.results, examples.restorations);
    const auto file = run.results / "report.html";
    base::write_atomically(file, report::render(page));
    return file;
}

}  // namespace hearth::summary
