// hearth data: work on images without training.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "cli/cli.hpp"
#include "data/filter.hpp"
#include "data/image.hpp"
#include "data/phantom.hpp"

namespace hearth::cli {
namespace {

void phantom(int count, const data::PhantomOptions& options, const Globals& globals) {
    if (globals.out.empty()) throw RecipeError("found no --out, expected the folder to write the phantoms to");
    if (std::filesystem::exists(std::filesystem::path(globals.out) / "manifest.csv"))
        throw RecipeError(fmt::format("{} already holds a manifest.csv; choose another --out", globals.out));
    const auto manifest = data::write_phantoms(globals.out, count, options);
    std::map<std::string, int> kinds;
    for (const auto& row : manifest.rows) ++kinds[row.cells[manifest.column("label")]];
    if (globals.json) {
        fmt::print("{}\n", nlohmann::json({{"manifest", manifest.file.string()}, {"labels", kinds}}).dump());
        return;
    }
    fmt::print("{} films of {} x {} in {}\n", manifest.rows.size(), options.size, options.size, globals.out);
    for (const auto& [kind, n] : kinds) fmt::print("  {:<16} {}\n", kind, n);
    fmt::print("manifest: {}\n", manifest.file.string());
}

void check(const std::string& source, const std::string& where, const Globals& globals) {
    const auto manifest = data::select(data::open(source), where);
    nlohmann::json bad = nlohmann::json::array();
    for (const auto& row : manifest.rows) {
        try {
            data::load_gray(row.path);
        } catch (const DataError& error) {
            bad.push_back({{"file", row.path}, {"line", row.line}, {"reason", error.what()}});
        }
    }
    if (globals.json) {
        fmt::print("{}\n", nlohmann::json({{"images", manifest.rows.size()}, {"bad", bad}}).dump(2));
    } else {
        fmt::print("{}: {} images, {} unreadable\n", source, manifest.rows.size(), bad.size());
        for (const auto& entry : bad) fmt::print("  {}\n", entry["reason"].get<std::string>());
    }
    if (!bad.empty())
        throw DataError(fmt::format("{} of {} images cannot be read", bad.size(), manifest.rows.size()));
}

}  // namespace

void add_data(CLI::App& app, Globals& globals) {
    auto* verb = app.add_subcommand("data", "Generate and check images");
    verb->require_subcommand(1);
    verb->footer("Examples:\n  hearth data phantom --out phantoms -n 500\n  hearth data check chests.csv");

    struct Phantoms {
        int count = 500;
        data::PhantomOptions options;
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

    struct Check {
        std::string source, where;
    };
    auto flags = std::make_shared<Check>();
    auto* look = verb->add_subcommand(
        "check", "Open every image of a manifest or folder and list those that cannot be read");
    look->add_option("source", flags->source, "Manifest (CSV) or folder")->required();
    look->add_option("--where", flags->where, "Only these rows, such as 'split == \"train\"'");
    look->footer(
        "Examples:\n  hearth data check chests.csv\n  hearth data check chests.csv --where 'label == "
        "\"normal\"'");
    look->callback([flags, &globals] { check(flags->source, flags->where, globals); });
}

}  // namespace hearth::cli
