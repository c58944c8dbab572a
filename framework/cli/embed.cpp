// hearth embed writes features of every image of a manifest or folder to a file for Python or a spreadsheet.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/text.hpp>

#include "base/countdown.hpp"
#include "base/counted.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "base/terminal_text.hpp"
#include "cli/run.hpp"
#include "data/requests.hpp"
#include "export/feature_table.hpp"
#include "recipe/word_list.hpp"
#include "runs/loaded_run.hpp"
#include "train/dry_run.hpp"
#include "train/initial_weights.hpp"
#include "train/trainer.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct EmbedFlags {
    RecipeArguments model;  ///< of a recipe, or of a run's folder
    std::string source, features, checkpoint = "last", network, where, columns;
    std::int64_t size = 0;
};

/// A run with its weights, or a recipe whose networks are as drawn, or as init_from says.
std::unique_ptr<runs::LoadedRun> load_model(const EmbedFlags& flags, const Globals& globals) {
    const auto& [file, overrides, with] = flags.model;
    if (fs::is_directory(file)) {
        if (globals.seed >= 0)
            throw RecipeError(
                fmt::format("found --seed and the run {}, whose weights are there already", file));
        return load_run({.run = file, .checkpoint = flags.checkpoint, .overrides = overrides, .with = with},
                        globals, {.opens = {}, .only = {"data.fit", "data.max_pixels", "data.max_bad"}});
    }
    expect_no_file_of_a_run(file);
    if (flags.checkpoint != "last")
        throw RecipeError(
            fmt::format("found --checkpoint {} and the recipe {}, expected it with a run folder alone",
                        flags.checkpoint, file));
    refuse_flags_of_runs(globals, /*strict=*/true);
    auto run = std::make_unique<runs::LoadedRun>();
    run->recipe = recipe::stages(flags.model.load(globals, {})).back();
    run->registry = make_registry(globals, &run->recipe);
    run->device = train::pick_device(run->recipe.train.device);
    train::use_threads(run->recipe);
    run->plan = plan::Plan::initial(run->recipe, run->registry, run->device);
    for (const auto& warning : train::load_initial_weights(run->recipe, run->plan))
        base::print_text("warning: " + warning);
    return run;
}

/// The columns that go beside `path`. Those that were asked for have to be there, the usual ones need not.
std::vector<std::string> columns_of(const EmbedFlags& flags, const data::Dataset& images) {
    if (flags.columns.empty()) return {"patient", "label"};
    auto columns = recipe::word_list(flags.columns);
    for (const auto& column : columns)
        if (!images.cell(0, column)) throw RecipeError("--columns: " + data::no_column(images, column));
    return columns;
}

/// Everything that can be wrong with the file to write, before the work.
void prepare(const fs::path& file) {
    if (file.empty())
        throw RecipeError("found no --out, expected the file to write: -o features.npz, .csv or .safetensors");
    exporting::check_feature_file(file);
    if (file.has_parent_path()) base::make_folder(file.parent_path());
}

void print(const exporting::FeatureTable& table, const Globals& globals) {
    for (const auto& bad : table.bad)  // most reasons begin with the file
        base::print_text("left out: " +
                         (bad.reason.starts_with(bad.name) ? bad.reason : bad.name + ": " + bad.reason));
    for (const auto& flat : table.flat)
        base::print_text(fmt::format("note: {} is blank or nearly ({}) and is used", flat.name, flat.reason));
    const auto rows = table.features.size(0), width = table.features.size(1);
    if (!globals.json) {
        fmt::print(
            "{}: {}, {} each{}\n", globals.out, base::counted(rows, "image"), base::counted(width, "feature"),
            table.bad.empty()
                ? ""
                : fmt::format("; {} left out", base::counted(std::ssize(table.bad), "unreadable image")));
        return;
    }
    auto left_out = nlohmann::json::array();
    for (const auto& bad : table.bad) left_out.push_back({{"file", bad.name}, {"reason", bad.reason}});
    auto flat = nlohmann::json::array();
    for (const auto& one : table.flat) flat.push_back({{"file", one.name}, {"reason", one.reason}});
    base::print_json(nlohmann::json({{"file", globals.out},
                                     {"images", rows},
                                     {"features", width},
                                     {"left_out", left_out},
                                     {"flat", flat}}),
                     2);
}

void embed(const EmbedFlags& flags, const Globals& globals) {
    prepare(globals.out);
    const auto run = load_model(flags, globals);
    const auto& data = run->recipe.data;
    const auto network = eval::backbone_network(run->plan, flags.network, "--network");
    const auto features = eval::features_of(run->plan, network, flags.features);
    const auto images = data::open_dataset(data::dataset_request(data, flags.source, flags.where, flags.size));
    const auto columns = columns_of(flags, *images);
    const auto table = exporting::make_feature_table(
        images, data,
        eval::backbone_features(run->plan, network, features, eval::evaluation_context(run->device)),
        base::Countdown(globals.quiet || globals.json));
    exporting::write_feature_table(globals.out, table, exporting::text_columns(*images, table.rows, columns),
                                   {{"hearth.recipe", run->recipe.name},
                                    {"hearth.network", network},
                                    {"hearth.features", features},
                                    {"hearth.checkpoint", run->checkpoint}});
    print(table, globals);
}

}  // namespace

void add_embed(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<EmbedFlags>();
    auto* verb =
        app.add_subcommand("embed", "Write the features of every image of a manifest or folder to a file");
    verb->add_option("model", flags->model.file,
                     "Run folder, or recipe (networks as drawn, or as its init_from says)")
        ->required();
    verb->add_option("source", flags->source, "Manifest (CSV) or folder of images")->required();
    verb->add_option("overrides", flags->model.overrides,
                     "key=value; of a run data.fit, data.max_pixels and data.max_bad");
    add_with(*verb, flags->model.with, "Put this recipe on top; of a run, the same keys count");
    verb->add_option("--features", flags->features,
                     "Of the backbone's outputs; default: what it says describes an image")
        ->check(CLI::IsMember({"cls", "mean", "cls+mean"}));
    verb->add_option("--where", flags->where, "Only these rows, such as 'split == \"test\"'");
    verb->add_option("--columns", flags->columns,
                     "Columns to keep beside path, default patient,label where there are any");
    verb->add_option("--network", flags->network, "Whose backbone; default: the first that is trained");
    verb->add_option("--checkpoint", flags->checkpoint, "last, best, or step_N")->capture_default_str();
    verb->add_option("--size", flags->size, "Images become this many pixels square; default data.size")
        ->check(CLI::Range(8, 8192));
    verb->footer(
        "The ending of --out (-o) is the format: .npz for numpy.load, .csv, .safetensors. docs/weights.md says "
        "what is in "
        "each.\n\n"
        "Examples:\n  hearth embed runs/demo chests.csv -o features.npz\n"
        "  hearth embed runs/demo chests.csv --where 'split == \"test\"' --columns label,age -o test.csv\n"
        "  hearth embed runs/demo /data/films data.fit=pad --features cls -o films.safetensors");
    verb->callback([flags, &globals] { embed(*flags, globals); });
}

}  // namespace hearth::cli
