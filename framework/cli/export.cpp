// hearth export writes the backbone of a run for timm, Hugging Face, torchvision or another recipe, with a
// model card.
#include <fmt/format.h>

#include "base/atomic_file.hpp"
#include "base/folder.hpp"
#include "base/json_text.hpp"
#include "base/safetensors.hpp"
#include "cli/run.hpp"
#include "export/model_card.hpp"
#include "host/place.hpp"
#include "runs/loaded_run.hpp"
#include "runs/run_record.hpp"
#include "train/run_plugins.hpp"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

struct ExportFlags {
    std::string run, format, network, checkpoint = "last";
    exporting::CardTexts texts;
};

/// The recipe's entry for the backbone of a network; a follower has its leader's.
const recipe::ComponentSpec& backbone_spec(const recipe::Recipe& recipe, const std::string& network) {
    const auto* spec = recipe.network(network);
    if (spec != nullptr && !spec->backbone) spec = recipe.network(spec->follows);
    return *spec->backbone;
}

template <class T>
T option_or(const Options& options, const char* name, T fallback) {
    const auto found = options.all().find(name);
    const auto* value = found == options.all().end() ? nullptr : std::get_if<T>(&found->second);
    return value == nullptr ? fallback : *value;
}

/// The number of attention heads is not in the weights: it is an option, or what `size` stands for.
std::int64_t attention_heads(const Options& options) {
    if (const auto given = option_or<std::int64_t>(options, "heads", 0); given > 0) return given;
    const auto size = option_or<std::string>(options, "size", "");
    return size == "tiny"    ? 3
           : size == "small" ? 6
           : size == "base"  ? 12
           : size == "large" ? 16
           : size == "giant" ? 24
                             : 0;
}

exporting::Backbone read_backbone(const runs::LoadedRun& run, const std::string& name) {
    const auto* network = run.plan.network(name);
    const auto& spec = backbone_spec(run.recipe, name);
    recipe::Diagnostics problems;
    const auto options =
        recipe::bind_options(spec.options, run.registry.find(Kind::backbone, spec.use).schema(),
                             name + ".backbone", spec.origin, problems);
    problems.throw_if_any(run.recipe.name);
    exporting::Backbone out;
    out.component = spec.use;
    auto tensors = network->named_parameters();
    for (auto& buffer : network->named_buffers()) tensors.push_back(std::move(buffer));
    for (auto& [full, tensor] : tensors) {
        const auto own = full.substr(name.size() + 1);
        const bool of_backbone = own.starts_with("backbone.");
        (of_backbone ? out.weights : out.heads)
            .emplace_back(of_backbone ? own.substr(9) : own, tensor.detach().cpu().contiguous());
    }
    const auto& labelled = run.recipe.eval ? run.recipe.eval : run.recipe.probe;
    out.channels = run.recipe.data.channels;
    out.heads_count = attention_heads(options);
    const auto unit = host::guarded_call(*network->backbone, name, "normalization", [&] {
        return std::static_pointer_cast<Backbone>(network->backbone)->normalization();
    });
    out.mean = unit.mean;
    out.std = unit.std;
    out.size = labelled && labelled->size > 0 ? labelled->size : run.recipe.data.size;
    out.fit = run.recipe.data.fit;
    out.resample = option_or<std::string>(options, "position_resample", "");
    out.rope = option_or<std::string>(options, "rope", "none");
    out.rope_base = option_or<Schedule>(options, "rope_base", Schedule(0))(Progress{});
    out.rope_grid = option_or<std::int64_t>(options, "rope_grid", 0);
    out.norm_eps = option_or<Schedule>(options, "norm_eps", Schedule(1e-6))(Progress{});
    return out;
}

/// "vit 0.1.0" of each that env.json lists.
std::vector<std::string> plugins_of(const nlohmann::json& environment) {
    std::vector<std::string> out;
    for (const auto& plugin : train::last_plugins(environment))
        out.push_back(fmt::format("{} {}", plugin.value("id", "?"), plugin.value("version", "?")));
    return out;
}

void export_run(const ExportFlags& flags, const Globals& globals) {
    const auto run = load_run(flags.run, flags.checkpoint, globals);
    const auto network = eval::backbone_network(run->plan, flags.network, "--network");
    const auto backbone = read_backbone(*run, network);
    const auto package = exporting::package(backbone, flags.format, network);
    const fs::path out = globals.out.empty() ? run->folder / "export" / flags.format : fs::path(globals.out);
    base::make_folder(out);

    std::vector<std::string> files = {"model.safetensors", "MODEL_CARD.md"};
    base::write_safetensors(out / "model.safetensors", package.tensors, package.metadata);
    for (const auto& [name, config] : package.configs) {
        base::write_atomically(out / name, base::json_text(config, 2) + "\n");
        files.push_back(name);
    }
    const auto record = runs::read_run_record(run->folder);
    base::write_atomically(out / "MODEL_CARD.md",
                           exporting::model_card({.recipe = run->recipe,
                                                  .run = record,
                                                  .checkpoint = run->checkpoint,
                                                  .network = network,
                                                  .format = flags.format,
                                                  .version = run->environment.value("hearth", ""),
                                                  .commit = run->environment.value("git_commit", ""),
                                                  .plugins = plugins_of(run->environment),
                                                  .texts = flags.texts},
                                                 backbone, package));
    if (globals.json) {
        base::print_json(nlohmann::json({{"folder", out.string()},
                                         {"files", files},
                                         {"tensors", package.tensors.size()},
                                         {"network", network}}),
                         2);
        return;
    }
    for (const auto& file : files) fmt::print("{}\n", (out / file).string());
}

}  // namespace

void add_export(CLI::App& app, Globals& globals) {
    auto flags = std::make_shared<ExportFlags>();
    auto* verb = app.add_subcommand(
        "export", "Write a run's backbone for timm, Hugging Face, torchvision or another recipe");
    verb->add_option("run", flags->run, "Run folder")->required();
    verb->add_option("--format", flags->format, "timm, hf, torchvision or hearth")
        ->required()
        ->type_name("FORMAT");
    verb->add_option("--network", flags->network, "student, teacher, ..; default: the first that is trained");
    verb->add_option("--checkpoint", flags->checkpoint, "last, best, or step_N")->capture_default_str();
    verb->add_option("--licence", flags->texts.licence, "Of the weights, for the model card");
    verb->add_option("--data", flags->texts.data, "The training data in a sentence, for the model card");
    verb->footer(
        "Writes model.safetensors, its configuration and MODEL_CARD.md to --out (-o), default "
        "RUN/export/FORMAT.\n\n"
        "Examples:\n  hearth export runs/demo --format timm -o vit\n"
        "  hearth export runs/mine/20261124-200130 --format hf --network teacher --checkpoint best\n"
        "  hearth export runs/demo --format hearth -o start   # then: init_from = \"start/model.safetensors\"");
    verb->callback([flags, &globals] { export_run(*flags, globals); });
}

}  // namespace hearth::cli
