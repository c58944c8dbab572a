// hearth pictures draws t-SNE, clusters beside labels, where the network looks, prototypes by position, curves
// and bars, as files and in the report.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <opencv2/imgproc.hpp>

#include "base/activity.hpp"
#include "base/atomic_file.hpp"
#include "base/json_text.hpp"
#include "cli/run.hpp"
#include "eval/pictures/clusters.hpp"
#include "eval/pictures/embeddings.hpp"
#include "eval/pictures/position_map.hpp"
#include "eval/pictures/saliency.hpp"
#include "eval/probe/batches.hpp"
#include "recipe/dropped.hpp"
#include "recipe/word_list.hpp"
#include "report/html.hpp"
#include "runs/loaded_run.hpp"
#include "runs/run_record.hpp"
#include "summary/picture_charts.hpp"
#include "summary/plots.hpp"
#include "summary/result_charts.hpp"
#include "summary/run_report.hpp"
#include "train/training_data.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t location_images = 100;  ///< nine points each

struct PictureFlags {
    RunArguments run;
    std::string by;
    std::vector<std::string> clusters, beside;
    std::int64_t images = 1000, films = 8;
};

/// Collects what plots/pictures.json lists, and writes the files beside it.
class Album {
  public:
    explicit Album(fs::path folder) : folder_(std::move(folder)) {}

    void scatter(const std::string& name, const report::ScatterChart& chart) {
        summary::save_svg(folder_, name, report::scatter_chart(chart));
        scatters_.push_back(summary::to_json(chart));
    }
    /// One file with all; in the report each by itself.
    void panels(const std::string& name, const std::string& title,
                const std::vector<report::ScatterChart>& charts) {
        constexpr int columns = 3;
        summary::save_svg(folder_, name, report::scatter_panels(title, charts, columns));
        for (const auto& chart : charts) scatters_.push_back(summary::to_json(chart));
    }
    void grid(const std::string& name, const report::FigureGrid& grid) {
        grids_.push_back(summary::save_grid(folder_, name, grid));
    }
    void clusters(const std::string& name, const eval::CrossTable& table) {
        base::write_atomically(folder_ / (name + ".csv"), summary::to_csv(table));
        clusters_.push_back(summary::to_json(table));
    }
    const nlohmann::json& clusters() const { return clusters_; }
    void chart(const std::string& name, const std::string& svg) const { summary::save_svg(folder_, name, svg); }
    void finish() const {
        const nlohmann::json all = {{"scatters", scatters_}, {"grids", grids_}, {"clusters", clusters_}};
        base::write_atomically(folder_ / "pictures.json", base::json_text(all, 1) + "\n");
    }

  private:
    fs::path folder_;
    nlohmann::json scatters_ = nlohmann::json::array(), grids_ = nlohmann::json::array(),
                   clusters_ = nlohmann::json::array();
};

/// The run's network, and one with the weights that it started from.
struct Models {
    const runs::LoadedRun& run;
    plan::Plan untrained;
    std::string network;
    Context context;

    Models(const runs::LoadedRun& loaded, const recipe::LabelledSpec& spec)
        : run(loaded),
          untrained(plan::Plan::initial(loaded.recipe, loaded.registry, loaded.device)),
          network(eval::backbone_network(loaded.plan, spec)),
          context(eval::evaluation_context(loaded.device)) {}
    std::vector<std::pair<std::string, const plan::Plan*>> both() const {
        return {{"trained", &run.plan}, {"untrained", &untrained}};
    }
};

/// The three t-SNE of a network: images by class, nine locations as crops and as tokens.
struct Embeddings {
    report::ScatterChart classes, crops, tokens;
};

/// What is drawn of each run, in its own size: the same images, and what colours them.
struct Shown {
    const eval::LabelledSet& test;
    const PictureFlags& flags;
};

Embeddings embeddings_of(const plan::Plan& plan, const std::string& network, const std::string& features,
                         const recipe::DataSpec& data, const Context& context, const Shown& shown,
                         const std::array<std::string, 3>& titles) {
    const auto extractor = eval::backbone_features(plan, network, features, context);
    return {
        .classes = summary::embedding_chart(
            titles[0], eval::image_embedding(shown.test, data, shown.flags.by, shown.flags.images, extractor)),
        .crops = summary::embedding_chart(titles[1],
                                          eval::crop_locations(shown.test, data, location_images, extractor)),
        .tokens = summary::embedding_chart(
            titles[2], eval::token_locations(shown.test, data, plan, network, location_images, context))};
}

void draw_embeddings(Album& album, const Models& models, const recipe::LabelledSpec& spec, const Shown& shown) {
    for (const auto& [model, plan] : models.both()) {
        const auto drawn = embeddings_of(
            *plan, models.network, spec.features, models.run.recipe.data, models.context, shown,
            {fmt::format("t-SNE of {} features", model), fmt::format("Nine locations as crops, {}", model),
             fmt::format("Nine locations as tokens, {}", model)});
        album.scatter("tsne-classes-" + model, drawn.classes);
        album.scatter("tsne-crops-" + model, drawn.crops);
        album.scatter("tsne-tokens-" + model, drawn.tokens);
    }
}

const recipe::LabelledSpec& read_by(const runs::LoadedRun& run) {
    const auto& spec = run.recipe.eval ? run.recipe.eval : run.recipe.probe;
    if (!spec)
        throw RecipeError(
            fmt::format("recipe '{}' has neither [eval] nor [probe]{}, so there are no images to draw",
                        run.recipe.name, recipe::dropped_text(run.recipe.tree, "eval")));
    return *spec;
}

using LoadedRuns = std::vector<std::unique_ptr<runs::LoadedRun>>;

LoadedRuns load_beside(const PictureFlags& flags, const Globals& globals) {
    LoadedRuns out;
    for (const auto& folder : flags.beside) {
        out.push_back(load_run(folder, "last", globals));
        read_by(*out.back());
    }
    return out;
}

/// The same test images as other runs see them.
void draw_beside(Album& album, const Models& models, const LoadedRuns& others, const Shown& shown,
                 base::Activity& activity) {
    if (others.empty()) return;
    std::vector<report::ScatterChart> classes, crops, tokens;
    const auto add = [&](const runs::LoadedRun& run) {
        const auto& spec = read_by(run);
        const auto name = fmt::format("{} ({})", run.recipe.name, run.folder.string());
        activity.now("t-SNE of " + name);
        auto drawn = embeddings_of(run.plan, eval::backbone_network(run.plan, spec), spec.features,
                                   run.recipe.data, models.context, shown, {name, name, name});
        classes.push_back(std::move(drawn.classes));
        crops.push_back(std::move(drawn.crops));
        tokens.push_back(std::move(drawn.tokens));
    };
    add(models.run);
    for (const auto& other : others) add(*other);
    album.panels("panels-classes", "t-SNE of features, run by run", classes);
    album.panels("panels-crops", "Nine locations as crops, run by run", crops);
    album.panels("panels-tokens", "Nine locations as tokens, run by run", tokens);
}

/// The images that were trained on, divided by what --clusters names and by a column.
struct TrainingClusters {
    eval::LabelledSet training;
    std::vector<eval::Grouping> clusters;
    eval::Grouping labels;
};

/// Without --by the labels are those that [data] reads, else those that the run is evaluated on.
eval::Grouping training_labels(const data::Dataset& images, const recipe::Recipe& recipe,
                               const recipe::LabelledSpec& spec, const std::string& by) {
    if (!by.empty()) return eval::divide_by_columns(images, {by}, "--by");
    const auto& label = recipe.data.label.empty() ? spec.label : recipe.data.label;
    const auto words = recipe::word_list(label);
    return eval::divide_by_columns(images, words.empty() ? std::vector{label} : words,
                                   "--clusters, which without --by compares with the label");
}

TrainingClusters read_clusters(const PictureFlags& flags, const runs::LoadedRun& run,
                               const recipe::LabelledSpec& spec) {
    TrainingClusters out;
    if (flags.clusters.empty()) return out;
    // All of them, also those without a label: a buffer has a number for each.
    out.training.images = train::open_uncached(run.recipe.data).images;
    for (const auto& buffer : flags.clusters)
        out.clusters.push_back(
            eval::divide_by_buffer(run.plan, buffer, out.training.images->size(), "--clusters"));
    out.labels = training_labels(*out.training.images, run.recipe, spec, flags.by);
    return out;
}

void draw_clusters(Album& album, const Models& models, const recipe::LabelledSpec& spec,
                   const TrainingClusters& all, std::int64_t count) {
    const auto some = eval::embed_images(
        all.training, models.run.recipe.data, count,
        eval::backbone_features(models.run.plan, models.network, spec.features, models.context));
    const auto drawn = summary::drawn(some.x);
    for (const auto& clusters : all.clusters) {
        album.scatter("tsne-clusters-" + clusters.name,
                      summary::embedding_chart("Training images by " + clusters.name,
                                               eval::grouped(some, clusters, "no cluster"), drawn));
        album.clusters("clusters-" + clusters.name, eval::cross_table(clusters, all.labels));
    }
    album.scatter("tsne-clusters-labels",
                  summary::embedding_chart("Training images by " + all.labels.name,
                                           eval::grouped(some, all.labels, "no label"), drawn));
}

void draw_saliency(Album& album, const Models& models, const recipe::LabelledSpec& spec,
                   const std::pair<eval::LabelledSet, eval::LabelledSet>& splits, std::int64_t films) {
    const auto maps =
        eval::saliency_maps(models.run.recipe, spec, splits, models.run.plan, models.context, films);
    if (maps.empty() || (maps.front().rollout.empty() && maps.front().cam.empty())) return;
    album.grid("looks", summary::saliency_grid(maps, splits.second.labels.classes.back()));
}

/// The evaluation of the images that are drawn: with another question, only one beside its pictures.
std::optional<eval::Evaluation> own_evaluation(const runs::LoadedRun& run) {
    return runs::read_evaluation(run.asked.empty() ? run.folder : run.results);
}

void draw_segmentation(Album& album, const Models& models, const recipe::LabelledSpec& spec,
                       const eval::LabelledSet& test, std::int64_t count) {
    const auto evaluation = own_evaluation(models.run);
    const double threshold = evaluation && evaluation->segmentation ? evaluation->segmentation->threshold : 0.5;
    album.grid("segmentation",
               summary::segmentation_grid(eval::segmented_films(models.run.plan, spec, test,
                                                                models.run.recipe.data, models.context, count),
                                          threshold));
}

void draw_positions(Album& album, const Models& models, const eval::LabelledSet& test) {
    at::Tensor images;
    eval::for_each_batch(test, models.run.recipe.data, 32, 32,
                         [&](const at::Tensor& batch, const auto&) { images = batch; });
    for (const auto& map : eval::position_maps(models.run.plan, images, models.context))
        album.grid("positions-" + map.name, summary::position_grid(map));
}

void draw(const PictureFlags& flags, Globals& globals) {
    const auto run =
        load_run(flags.run, globals, {.opens = {"probe", "eval", "data"}, .only = {"probe", "eval", "data"}});
    const auto& spec = read_by(*run);
    const auto beside = load_beside(flags, globals);
    base::Activity activity(globals.quiet, "opening the data");
    const auto clusters = read_clusters(flags, *run, spec);
    const Models models(*run, spec);
    const auto splits = eval::open_splits(run->recipe, spec);
    Album album(run->results / "plots");
    activity.now("t-SNE of classes and locations, trained and untrained");
    const Shown shown{.test = splits.second, .flags = flags};
    draw_embeddings(album, models, spec, shown);
    draw_beside(album, models, beside, shown, activity);
    if (!clusters.clusters.empty()) {
        activity.now("t-SNE of the training images by cluster and label");
        draw_clusters(album, models, spec, clusters, flags.images);
    }
    activity.now("attention roll-out and Grad-CAM");
    draw_saliency(album, models, spec, splits, flags.films);
    if (!spec.mask.empty()) {
        activity.now("segmentations beside the truth");
        draw_segmentation(album, models, spec, splits.second, flags.films);
    }
    activity.now("positions that resemble each other");
    draw_positions(album, models, splits.second);
    if (const auto evaluation = own_evaluation(*run))
        for (const auto& chart : summary::result_charts(*evaluation)) album.chart(chart.name, chart.svg());
    album.finish();
    activity.now("report");
    const auto page = summary::write_report(*run);
    activity.now("");
    const auto folder = (run->results / "plots").string();
    if (globals.json) {
        nlohmann::json out = {{"plots", folder}, {"report", page.string()}};
        if (!flags.clusters.empty()) out["clusters"] = album.clusters();
        base::print_json(out);
        return;
    }
    for (const auto& table : album.clusters())
        fmt::print("{} against {}: {}\n", table["buffer"].get<std::string>(), table["by"].get<std::string>(),
                   summary::agreement_text(table));
    fmt::print("{}\nreport: {}\n", folder, fs::absolute(page).lexically_normal().string());
}

}  // namespace

void add_pictures(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<PictureFlags>();
    auto* verb = app.add_subcommand("pictures", "Draw a run: t-SNE, attention, Grad-CAM, prototypes, curves");
    flags->run.add_to(*verb);
    verb->add_option("--by", flags->by, "Column that colours the t-SNE of images; without it, their class");
    verb->add_option("--clusters", flags->clusters,
                     "Buffer with a number for each training image (BUFFER.1: row 1 of several): t-SNE of the "
                     "training images by it, beside their label or --by; may be repeated")
        ->type_name("BUFFER")
        ->allow_extra_args(false);
    verb->add_option(
            "--beside", flags->beside,
            "Another run: its t-SNE of the same images beside this run's, in panels-*.svg; may be repeated")
        ->type_name("RUN")
        ->allow_extra_args(false);
    verb->add_option("--images", flags->images, "Images in each t-SNE")
        ->capture_default_str()
        ->check(CLI::Range(100, 20000));
    verb->add_option("--films", flags->films, "Films with attention and Grad-CAM")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    verb->footer(
        "Examples:\n  hearth pictures runs/demo\n  hearth pictures runs/demo --by label --films 16\n"
        "  hearth pictures runs/found --clusters loss.groups.found --clusters loss.groups.found.1 --by label\n"
        "  hearth pictures runs/a --beside runs/b --beside runs/c --by label\n"
        "  hearth pictures runs/demo eval.source=other.csv --out other\n\n"
        "Writes SVG and PNG files into the run's folder plots/ and its report.html anew. Needs [eval] or "
        "[probe].\nOf other images (key=value, --with) or of another --checkpoint both go to --out FOLDER, or "
        "without it to\nRUN/asked/QUESTION.");
    verb->callback([flags, &globals] { draw(*flags, globals); });
}

}  // namespace hearth::cli
