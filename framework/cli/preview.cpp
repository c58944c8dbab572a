// hearth data preview puts the views that a recipe makes of its images on one sheet.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>

#include "base/activity.hpp"
#include "base/counted.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "cli/cli.hpp"
#include "eval/probe/views.hpp"
#include "report/contact_sheet.hpp"
#include "summary/plots.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct PreviewFlags {
    RecipeArguments recipe;
    std::string stage;
    std::int64_t count = 16, epoch = 0;
    int cell = 160;
};

void preview(const PreviewFlags& flags, const Globals& globals) {
    const fs::path out = globals.out.empty() ? fs::path("preview.png") : fs::path(globals.out);
    if (out.extension() != ".png" && out.extension() != ".jpg")
        throw RecipeError(
            fmt::format("--out: found {}, expected a name that ends in .png or .jpg", out.string()));
    const auto recipe = stage_of(flags.recipe.load(globals, {"data"}), flags.stage);
    const auto registry = make_registry(globals, &recipe);
    const auto plan = plan::Plan::build(recipe, registry);
    const auto views = base::during(globals.quiet || globals.json, "making views",
                                    [&] { return eval::make_views(recipe, plan, flags.count, flags.epoch); });
    const auto& image = views.batch["image"];
    std::vector<std::string> captions = {"image"};
    std::vector<std::vector<cv::Mat>> rows(static_cast<std::size_t>(image.size(0)));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        rows[i].push_back(summary::picture(image, at));
        for (const auto& [name, tensor] : views.images) rows[i].push_back(summary::picture(tensor, at));
    }
    for (const auto& [name, tensor] : views.images) captions.push_back(name);
    if (out.has_parent_path()) base::make_folder(out.parent_path());
    if (!cv::imwrite(out.string(), report::contact_sheet(captions, rows, flags.cell)))
        throw DataError(fmt::format("{}: cannot be written; is the folder writable?", out.string()));
    if (globals.json)
        base::print_json(
            nlohmann::json({{"sheet", out.string()}, {"images", rows.size()}, {"views", captions}}));
    else
        fmt::print("{}: {}, {} each\n", out.string(), base::counted(std::ssize(rows), "image"),
                   base::counted(std::ssize(captions), "picture"));
}

}  // namespace

void add_preview(CLI::App& data, Globals& globals) {
    auto flags = std::make_shared<PreviewFlags>();
    auto* verb = data.add_subcommand("preview", "The views a recipe makes of its images, as one picture");
    flags->recipe.add_to(*verb);
    verb->add_option("-n,--count", flags->count, "How many images")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    verb->add_option("--epoch", flags->epoch, "Whose views: each epoch draws others")
        ->capture_default_str()
        ->check(CLI::Range(0, 1'000'000));
    add_stage(*verb, flags->stage);
    verb->add_option("--cell", flags->cell, "Edge of a picture in pixels")
        ->capture_default_str()
        ->check(CLI::Range(32, 1024));
    verb->footer(
        "Writes --out (default preview.png). The same seed and epoch give the same pictures as training "
        "sees.\n\n"
        "Examples:\n  hearth data preview my-recipe.toml -n 16\n"
        "  hearth data preview my-recipe.toml --with my-data.toml\n"
        "  hearth data preview my-recipe.toml augment.views.strength=0.8 -n 32 --cell 224 --out sheet.png");
    verb->callback([flags, &globals] { preview(*flags, globals); });
}

}  // namespace hearth::cli
