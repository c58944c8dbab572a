// hearth import makes weights of timm, torchvision, Hugging Face or a pretraining the initial weights of a
// recipe.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "base/safetensors.hpp"
#include "cli/cli.hpp"
#include "export/import_weights.hpp"
#include "host/place.hpp"
#include "plan/plan.hpp"
#include "recipe/option_words.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct ImportFlags {
    std::string file, backbone, network;
    std::vector<std::string> words;  ///< RECIPE and key=value
    std::vector<std::string> with;   ///< fragments, on top of the recipe
    std::int64_t size = 224, channels = 1;
    exporting::ImportOptions options;
};

/// The backbone that the weights are for.
struct Target {
    exporting::NamedTensors tensors;
    std::string network = "student";
    double mean = 0, std = 1;  ///< of a backbone for one channel
    std::string rope;          ///< its options of these names; "" where it has none
    double norm_eps = 1e-6;
};

exporting::NamedTensors tensors_of(const Component& component) {
    exporting::NamedTensors out;
    for (const auto& item : component.named_parameters()) out.emplace_back(item.key(), item.value().detach());
    for (const auto& item : component.named_buffers()) out.emplace_back(item.key(), item.value());
    return out;
}

Target target_of(const Component& backbone, std::string network, const Options& options) {
    const auto unit = host::guarded_call(backbone, "backbone", "normalization", [&] {
        return dynamic_cast<const Backbone&>(backbone).normalization();
    });
    Target out{tensors_of(backbone), std::move(network), unit.mean.front(), unit.std.front(), {}};
    const auto has = [&](const char* name) { return options.all().count(name) != 0; };
    if (has("rope") && has("norm_eps")) {
        out.rope = options.text("rope");
        out.norm_eps = options.number("norm_eps");
    }
    return out;
}

/// The options of a component as a recipe, or key=value words, give them.
Options bind(const host::Registry& registry, const recipe::ComponentSpec& spec) {
    recipe::Diagnostics problems;
    auto options = recipe::bind_options(spec.options, registry.find(Kind::backbone, spec.use).schema(),
                                        "backbone", spec.origin, problems);
    problems.throw_if_any("the options of the backbone do not fit");
    return options;
}

Target target_of_recipe(const ImportFlags& flags, const std::vector<std::string>& overrides,
                        const std::string& file, const Globals& globals) {
    const auto recipe = recipe::stages(RecipeArguments{file, overrides, flags.with}.load(globals, {})).back();
    const auto registry = make_registry(globals, &recipe);
    const auto plan = plan::Plan::build(recipe, registry);
    for (const auto& network : plan.networks()) {
        const auto* spec = recipe.network(network.name);
        if (!network.backbone || spec == nullptr || !spec->backbone) continue;
        if (!flags.network.empty() && network.name != flags.network) continue;
        return target_of(*network.backbone, network.name, bind(registry, *spec->backbone));
    }
    throw RecipeError(fmt::format("{}: found no network{} with a backbone of its own", file,
                                  flags.network.empty() ? "" : " '" + flags.network + "'"));
}

Target target_of_options(const ImportFlags& flags, const std::vector<std::string>& words,
                         const Globals& globals) {
    const auto registry = make_registry(globals);
    recipe::ComponentSpec spec;
    spec.use = flags.backbone;
    for (const auto& word : words) {
        auto [key, value] = recipe::option_of_word(word, "an option such as patch=16");
        spec.options.set(key, std::move(value));
    }
    const auto options = bind(registry, spec);
    Symbols symbols;
    symbols.bind("C", flags.channels);
    symbols.bind("H", flags.size);
    symbols.bind("W", flags.size);
    return target_of(*registry.find(Kind::backbone, flags.backbone).create(options, symbols), "student",
                     options);
}

Target find_target(const ImportFlags& flags, const Globals& globals) {
    std::vector<std::string> overrides, recipes;
    for (const auto& word : flags.words)
        (word.find('=') == std::string::npos ? recipes : overrides).push_back(word);
    if (recipes.size() + (flags.backbone.empty() ? 0 : 1) != 1)
        throw RecipeError(
            "expected what the weights are for: either a recipe (key=value words change it), or --backbone "
            "NAME (key=value "
            "words are its options)");
    return flags.backbone.empty() ? target_of_recipe(flags, overrides, recipes.front(), globals)
                                  : target_of_options(flags, overrides, globals);
}

void check_is_safetensors(const fs::path& file) {
    static const std::vector<std::string> pickles = {".pth", ".pt", ".bin", ".ckpt", ".tar"};
    if (std::ranges::find(pickles, file.extension().string()) == pickles.end()) return;
    throw RecipeError(
        fmt::format("{}: found a PyTorch file, expected safetensors; Python converts it: python "
                    "tools/convert_checkpoint.py {} {}",
                    file.string(), file.string(), fs::path(file).replace_extension(".safetensors").string()));
}

/// At most `most` of them; a checkpoint of a run has hundreds that no backbone takes.
void print_names(const char* title, const std::vector<std::string>& names, std::size_t most) {
    if (names.empty()) return;
    fmt::print("{} ({}):\n", title, names.size());
    const auto shown = std::min(names.size(), most);
    for (std::size_t i = 0; i < shown; ++i) fmt::print("  {}\n", names[i]);
    if (shown < names.size()) fmt::print("  and {} more, which --json lists\n", names.size() - shown);
}

/// size = "small", patch = 14
std::string as_toml(const std::vector<exporting::VitOption>& options) {
    std::vector<std::string> words;
    for (const auto& [name, value] : options) words.push_back(fmt::format("{} = {}", name, value));
    return fmt::format("{}", fmt::join(words, ", "));
}

void print(const exporting::ImportResult& result) {
    if (!result.kind.empty())
        fmt::print("the file's network: {}, backbone = {{ use = \"vit\", {} }}\n", result.kind,
                   as_toml(result.options));
    for (const auto& [name, found, expected] : result.mismatches)
        fmt::print("option {}: found {} in the recipe, expected {} for this file\n", name, found, expected);
    for (const auto& note : result.notes) fmt::print("{}\n", note);
    print_names("unexpected, not taken", result.unexpected, 40);
    print_names("missing", result.missing, result.missing.size());
    if (!result.misshaped.empty()) fmt::print("of another shape ({}):\n", result.misshaped.size());
    for (const auto& entry : result.misshaped)
        fmt::print("  {}: found [{}], expected [{}]\n", entry.name, fmt::join(entry.found, ", "),
                   fmt::join(entry.expected, ", "));
}

nlohmann::json to_json(const exporting::ImportResult& result, const std::string& out) {
    auto misshaped = nlohmann::json::array();
    for (const auto& entry : result.misshaped)
        misshaped.push_back({{"name", entry.name}, {"found", entry.found}, {"expected", entry.expected}});
    auto options = nlohmann::json::object(), mismatches = nlohmann::json::array();
    for (const auto& [name, value] : result.options) options[name] = nlohmann::json::parse(value);
    for (const auto& [name, found, expected] : result.mismatches)
        mismatches.push_back({{"option", name},
                              {"found", nlohmann::json::parse(found)},
                              {"expected", nlohmann::json::parse(expected)}});
    return {{"kind", result.kind},
            {"options", options},
            {"mismatches", mismatches},
            {"file", result.complete() ? nlohmann::json(out) : nlohmann::json()},
            {"taken", result.weights.size()},
            {"missing", result.missing},
            {"unexpected", result.unexpected},
            {"misshaped", misshaped},
            {"notes", result.notes}};
}

void import(ImportFlags flags, const Globals& globals) {
    check_is_safetensors(flags.file);
    if (globals.out.empty())
        throw RecipeError("found no --out, expected the file or folder to write: -o start.safetensors");
    const auto target = find_target(flags, globals);
    flags.options.target_mean = target.mean;
    flags.options.target_std = target.std;
    flags.options.target_rope = target.rope;
    flags.options.target_norm_eps = target.norm_eps;
    const auto result =
        exporting::import_weights(base::read_safetensors(flags.file).tensors, target.tensors, flags.options);
    auto out = fs::path(globals.out);
    if (out.extension() != ".safetensors") out /= "model.safetensors";
    if (result.complete()) {
        if (out.has_parent_path()) base::make_folder(out.parent_path());
        base::write_safetensors(
            out, result.weights,
            {{"format", "pt"}, {"hearth.imported_from", fs::path(flags.file).filename().string()}});
    }
    if (globals.json)
        base::print_json(to_json(result, out.string()), 2);
    else
        print(result);
    if (!result.complete()) {
        std::vector<exporting::VitOption> needed;
        for (const auto& [name, found, expected] : result.mismatches) needed.push_back({name, expected});
        throw RecipeError(fmt::format(
            "{}: {} weights of the backbone are missing and {} have another shape; nothing was "
            "written. Its options (size, "
            "patch, ..), the channels and --sum-channels decide what fits{}",
            flags.file, result.missing.size(), result.misshaped.size(),
            needed.empty()
                ? ""
                : fmt::format("; the file's network is {}: write {} into the backbone of [networks.{}]",
                              result.kind, as_toml(needed), target.network)));
    }
    if (!globals.json)
        fmt::print("{}: {}\n\n[networks.{}]\ninit_from = \"{}\"\n", out.string(),
                   base::counted(std::ssize(result.weights), "tensor"), target.network, out.string());
}

}  // namespace

void add_import(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<ImportFlags>();
    auto* verb = app.add_subcommand(
        "import",
        "Turn public weights (timm, torchvision, Hugging Face, a pretraining checkpoint) into initial weights");
    verb->add_option("file", flags->file, "safetensors file; tools/convert_checkpoint.py makes one of a .pth")
        ->required();
    verb->add_option("target", flags->words, "Recipe that the weights are for, and key=value")
        ->type_name("RECIPE");
    add_with(*verb, flags->with, "Put this recipe on top of the one that the weights are for");
    auto* network = verb->add_option("--network", flags->network,
                                     "Of the recipe; default: the first with a backbone of its own");
    auto* backbone = verb->add_option("--backbone", flags->backbone,
                                      "In place of a recipe: this backbone, with key=value as its options");
    network->excludes(backbone);
    verb->add_option("--size", flags->size, "With --backbone: images are size x size")
        ->capture_default_str()
        ->needs(backbone);
    verb->add_option("--channels", flags->channels, "With --backbone: channels of the image")
        ->capture_default_str()
        ->needs(backbone);
    verb->add_option("--prefix", flags->options.prefix,
                     "Which network of the file, such as 'teacher.backbone.'");
    auto* sum = verb->add_flag("--sum-channels", flags->options.sum_channels,
                               "Sum the first layer's colour channels for grey images");
    verb->add_option("--mean", flags->options.mean,
                     "With --sum-channels: the file's input normalisation, folded in")
        ->delimiter(',')
        ->needs(sum);
    verb->add_option("--std", flags->options.std, "The same, standard deviations")->delimiter(',')->needs(sum);
    verb->footer(
        "Lists what is missing, unexpected or of another shape. Positions for another image size are "
        "resampled.\n\n"
        "Examples:\n  hearth import vit_tiny.safetensors recipes/mine.toml --sum-channels -o "
        "start.safetensors\n"
        "  hearth import vit_small.safetensors --backbone vit size=small patch=16 --size 224 --channels 3 -o "
        "start/\n"
        "  hearth import pretrained.safetensors mine.toml --sum-channels --mean 0.485,0.456,0.406 --std "
        "0.229,0.224,0.225 -o "
        "start.safetensors");
    verb->callback([flags, &globals] { import(*flags, globals); });
}

}  // namespace hearth::cli
