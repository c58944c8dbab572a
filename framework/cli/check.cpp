// hearth check: one micro-step of the real code on generated images.
#include "train/check.hpp"
#include "data/json_text.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/cli.hpp"
#include "train/activity.hpp"
#include "train/training_data.hpp"

namespace hearth::cli {
namespace {

void check(const RecipeArguments& arguments, std::int64_t images, Globals& globals) {
    const auto recipe = arguments.load(globals);
    const auto registry = make_registry(globals, &recipe);
    const auto result = train::during(globals.quiet || globals.json, "one step on generated images",
                                      [&] { return train::check(recipe, registry, images); });
    const auto images_there =
        recipe.data.source.empty() ? 0 : train::open_training_data(recipe.data).images->size();
    const auto cache = train::choose_cache(recipe.data, images_there, images_there);
    if (globals.json) {
        fmt::print("{}\n", data::json_text(nlohmann::json({{"ok", result.ok()},
                                                           {"terms", result.terms},
                                                           {"without_gradient", result.without_gradient},
                                                           {"follower_gradient", result.follower_gradient},
                                                           {"problems", result.problems},
                                                           {"trained_parameters", result.trained},
                                                           {"seconds", result.seconds},
                                                           {"memory_mib", result.memory_mib},
                                                           {"cache", {{"kind", cache.kind}, {"bytes", cache.bytes()}}}}),
                                           2));
    } else {
        fmt::print("{}: one step on {} generated images of {} x {}\n", recipe.name, result.images,
                   recipe.data.size, recipe.data.size);
        for (const auto& [name, value] : result.terms) fmt::print("  {:<24} {:.6g}\n", name, value);
        fmt::print("  {:<24} {:.2f} M trained, {:.2f} M in all\n", "parameters",
                   static_cast<double>(result.trained) / 1e6, static_cast<double>(result.total) / 1e6);
        fmt::print("  {:<24} {:.2f} s for this step, {:.0f} MiB peak\n", "cost", result.seconds,
                   result.memory_mib);
        if (images_there > 0) fmt::print("  {:<24} {}: {}\n", "training data", images_there, cache.text());
        for (const auto& problem : result.problems) fmt::print("problem: {}\n", problem);
        for (const auto& name : result.without_gradient) fmt::print("no gradient: {}\n", name);
        for (const auto& name : result.follower_gradient) fmt::print("gradient where none may be: {}\n", name);
        if (result.ok())
            fmt::print("ok: finite losses, every trained parameter gets a gradient, followers get none\n");
    }
    if (!result.problems.empty())
        globals.exit_code = static_cast<int>(ExitCode::numeric);
    else if (!result.ok())
        globals.exit_code = static_cast<int>(ExitCode::recipe);
}

}  // namespace

void add_check(CLI::App& app, Globals& globals) {
    auto arguments = std::make_shared<RecipeArguments>();
    auto images = std::make_shared<std::int64_t>(2);
    auto* verb =
        app.add_subcommand("check", "Run one real step on generated images and say what gets no gradient");
    arguments->add_to(*verb);
    verb->add_option("--images", *images, "Images in the step")->check(CLI::Range(1, 4096));
    verb->footer(
        "Examples:\n  hearth check recipe.toml\n  hearth check recipe.toml "
        "networks.student.backbone.size=tiny "
        "--images 4");
    verb->callback([=, &globals] { check(*arguments, *images, globals); });
}

}  // namespace hearth::cli
