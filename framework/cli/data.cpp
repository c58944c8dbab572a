// hearth data works on images without training.
#include "cli/data.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/activity.hpp"
#include "base/counted.hpp"
#include "base/json_text.hpp"
#include "images/phantom/phantom.hpp"

namespace hearth::cli {
namespace {

void phantom(int count, const images::PhantomOptions& options, const Globals& globals) {
    if (globals.out.empty()) throw RecipeError("found no --out, expected the folder to write the phantoms to");
    if (std::filesystem::exists(std::filesystem::path(globals.out) / "manifest.csv"))
        throw RecipeError(fmt::format("{} already holds a manifest.csv; choose another --out", globals.out));
    const auto manifest = base::during(globals.quiet, "drawing " + base::counted(count, "film"),
                                       [&] { return images::write_phantoms(globals.out, count, options); });
    std::map<std::string, int> kinds;
    for (const auto& row : manifest.rows) ++kinds[row.cells[manifest.column("label")]];
    if (globals.json) {
        base::print_json(nlohmann::json({{"manifest", manifest.file.string()}, {"labels", kinds}}));
        return;
    }
    fmt::print("{} of {} x {} in {}\n", base::counted(std::ssize(manifest.rows), "film"), options.size,
               options.size, globals.out);
    for (const auto& [kind, n] : kinds) fmt::print("  {:<16} {}\n", kind, n);
    fmt::print("manifest: {}\n", manifest.file.string());
}

}  // namespace

void SourceArguments::add_to(CLI::App& verb) {
    verb.add_option("source", source, "Manifest (CSV) or folder")->required();
    verb.add_option("--where", where, "Only these rows, such as 'split == \"train\"'");
}

void add_data(CLI::App& app, Globals& globals) {
    auto* verb = app.add_subcommand("data", "Import, check, describe and generate images");
    verb->require_subcommand(1);
    verb->footer(
        "Examples:\n  hearth data import chexpert CheXpert-v1.0-small --view frontal --out chexpert.csv\n"
        "  hearth data check chexpert.csv\n  hearth data stats chexpert.csv\n"
        "  hearth data phantom --out phantoms -n 500");

    struct Phantoms {
        int count = 500;
        images::PhantomOptions options;
    };
    auto phantoms = std::make_shared<Phantoms>();
    auto* draw =
        verb->add_subcommand("phantom", "Draw radiograph-like chests with lesions, as files with a manifest");
    draw->add_option("-n,--count", phantoms->count, "How many")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000'000));
    draw->add_option("--size", phantoms->options.size, "Edge in pixels")
        ->capture_default_str()
        ->check(CLI::Range(32, 4096));
    draw->add_option("--lesions", phantoms->options.lesion_share, "Share of films with a lesion")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 1.0));
    draw->footer(
        "Examples:\n  hearth data phantom --out phantoms -n 500\n  hearth data phantom --out big -n 20 --size "
        "1024 --seed 7");
    draw->callback([phantoms, &globals] {
        if (globals.seed >= 0) phantoms->options.seed = static_cast<std::uint64_t>(globals.seed);
        phantom(phantoms->count, phantoms->options, globals);
    });

    add_data_import(*verb, globals);
    add_data_recipe(*verb, globals);
    add_data_check(*verb, globals);
    add_data_stats(*verb, globals);
    add_preview(*verb, globals);
}

}  // namespace hearth::cli
