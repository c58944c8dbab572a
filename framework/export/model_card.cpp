#include "export/model_card.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/text.hpp>

#include "report/text.hpp"

namespace hearth::exporting {
namespace {

/// The last part of a path alone: folders name people and machines.
std::string source_text(const std::string& source, const std::string& where) {
    const auto name = std::filesystem::path(source).filename().string();
    const auto base = source == "phantom" ? std::string("generated drawings of chests (no patients)")
                                          : fmt::format("`{}`", name.empty() ? source : name);
    return where.empty() ? base : base + fmt::format(", rows with `{}`", where);
}

std::string title_of(const recipe::Recipe& recipe, const std::string& network) {
    return fmt::format(
        "# {}: the backbone of `{}`\n\n{}\n", recipe.name, network,
        recipe.description.empty() ? "Features of radiographs, learned without labels." : recipe.description);
}

std::string components(const std::vector<recipe::ComponentSpec>& specs) {
    std::vector<std::string> names;
    for (const auto& spec : specs) names.push_back("`" + spec.use + "`");
    return names.empty() ? "none" : join(names);
}

report::Table facts_table(const CardFacts& facts, const Backbone& backbone) {
    std::int64_t parameters = 0;
    for (const auto& [name, tensor] : backbone.weights) parameters += tensor.numel();
    const auto& recipe = facts.recipe;
    report::Table table;
    table.headers = {"", ""};
    table.rows = {
        {"backbone", fmt::format("`{}`, {:.1f} million parameters, format `{}`", backbone.component,
                                 static_cast<double>(parameters) / 1e6, facts.format)},
        {"recipe", fmt::format("`{}`, hash {}", recipe.name, facts.run.run.value("recipe_hash", "unknown"))},
        {"losses", components(recipe.losses)},
        {"augmentations", components(recipe.augments)},
        {"trained",
         fmt::format("{} of {} epochs, {} steps, batch {}, seed {}", facts.run.epoch, recipe.train.epochs,
                     facts.run.step, recipe.train.batch * recipe.train.accumulate, recipe.train.seed)},
        {"checkpoint", "`" + facts.checkpoint + "`"},
        {"Hearth", fmt::format("{}, {}", facts.version.empty() ? "version unknown" : facts.version,
                               facts.commit.empty() ? "commit unknown" : "commit " + facts.commit)},
        {"plugins", facts.plugins.empty() ? "not recorded" : join(facts.plugins)}};
    return table;
}

std::string number(double value) {
    return std::isnan(value) ? "undefined" : fmt::format("{:.3f}", value);
}

std::string evaluation_section(const std::optional<eval::Evaluation>& evaluation,
                               const recipe::Recipe& recipe) {
    if (!evaluation) return "## Evaluation\n\nNone: the run has no `eval.json`.\n";
    report::Table table;
    table.headers = {"classifier", "features", "AUC", "95 % interval", "accuracy", "F1"};
    for (const auto& score : evaluation->scores)
        table.rows.push_back({score.classifier, score.model, number(score.auc.value),
                              std::isnan(score.auc.low)
                                  ? "none " + eval::no_interval(score.auc)
                                  : fmt::format("{} to {}", number(score.auc.low), number(score.auc.high)),
                              number(score.accuracy), number(score.f1)});
    const auto& spec = recipe.eval ? recipe.eval : recipe.probe;
    return fmt::format("## Evaluation\n\n{}\n{}{} test images of {} patients{}. {}.\n",
                       report::markdown_table(table),
                       evaluation->predicted.empty() ? "" : "Predicted: " + evaluation->predicted + ". ",
                       evaluation->test_images, evaluation->test_patients,
                       spec ? ": " + source_text(spec->source, spec->test_where) : "", evaluation->protocol);
}

std::string preprocessing_section(const Backbone& backbone, const std::string& format) {
    const auto list = [](const std::vector<double>& values) {
        std::vector<std::string> words;
        for (const double value : values) words.push_back(fmt::format("{:g}", value));
        return join(words);
    };
    auto text = fmt::format(
        "## Images\n\n{} channel(s), {} x {} pixels ({}), grey values in [0, 1] (8 bit / 255, 16 bit / 65535), "
        "then (x - mean) / std "
        "with mean {} and std {}. The weights expect that this was done before; Hearth's own format does it "
        "itself.\n",
        backbone.channels, backbone.size, backbone.size, backbone.fit, list(backbone.mean), list(backbone.std));
    const auto vit = vit_shape(backbone.weights);
    if (!vit || vit->grid == 0 || vit->image_size() == backbone.size) return text;
    text +=
        fmt::format("\nIts positions were learned on images of {} x {}; for {} x {} they are resampled{}.\n",
                    vit->image_size(), vit->image_size(), backbone.size, backbone.size,
                    format == "hf" ? ", which was done in this file" : "");
    if (backbone.resample != "timm")
        text += "Hearth did so without antialiasing for this recipe: features elsewhere differ a little.\n";
    return text;
}

constexpr const char* limits = R"(## Intended use and limits

For research on chest radiographs: features for probing, fine-tuning and retrieval, compared with other methods on the same data.

- It is no medical device. Its output must not be used for diagnosis, triage or any decision about a patient.
- Features follow the data they were learned from: age group, scanner, projection, and how often a disease is in it. Other hospitals, ages and
  views have to be measured anew before a result is believed.
- Nothing was measured by sex, age, ethnicity or scanner unless the section above says so.
- An AUC on one test set is no sensitivity at a threshold in use; text markers, tubes and devices can be what a classifier reads.
- Whether single training images can be recovered from the weights was not examined: pass them on as the data's terms allow.
)";

}  // namespace

std::string model_card(const CardFacts& facts, const Backbone& backbone, const Package& package) {
    const auto& recipe = facts.recipe;
    auto out = title_of(recipe, facts.network) + "\n" + report::markdown_table(facts_table(facts, backbone));
    out += "\n## Data\n\n" +
           (facts.texts.data.empty() ? "Trained on " + source_text(recipe.data.source, recipe.data.where) + "."
                                     : facts.texts.data) +
           "\n\n" + evaluation_section(facts.run.evaluation, recipe) + "\n" +
           preprocessing_section(backbone, facts.format);
    out += fmt::format("\n## Loading\n\n```{}\n{}```\n\n", facts.format == "hearth" ? "toml" : "python",
                       package.python);
    out += limits;
    out += "\n## Licence\n\n" + (facts.texts.licence.empty()
                                     ? "Not stated (`hearth export --licence`). Hearth's code is Apache-2.0; "
                                       "that says nothing about these weights, which the terms of "
                                       "the training data may restrict.\n"
                                     : facts.texts.licence + "\n");
    return out;
}

}  // namespace hearth::exporting
