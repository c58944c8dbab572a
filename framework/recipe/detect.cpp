// [detect] and its scores: keys, and the sum in which the scores are weighed.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <hearth/text.hpp>
#include <map>

#include "recipe/components.hpp"
#include "recipe/key.hpp"

namespace hearth::recipe {
namespace {

const std::vector<std::string> score_kinds = {"error", "distance"};

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(' ');
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> out;
    std::size_t begin = 0;
    for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
        end = text.find(at, begin);
        out.push_back(trimmed(text.substr(begin, end == std::string::npos ? end : end - begin)));
    }
    return out;
}

/// "restore + 0.5 * distance" -> weights by name; nothing where the text is not like that.
std::optional<std::map<std::string, double>> read_sum(const std::string& text) {
    std::map<std::string, double> out;
    for (const auto& term : split(text, '+')) {
        const auto factors = split(term, '*');
        if (factors.size() > 2 || factors.back().empty()) return {};
        double weight = 1;
        if (factors.size() == 2) {
            const auto& number = factors.front();
            const auto* const end = number.data() + number.size();
            const auto read = std::from_chars(number.data(), end, weight);
            if (read.ec != std::errc() || read.ptr != end || weight <= 0) return {};
        }
        if (!out.emplace(factors.back(), weight).second) return {};
    }
    return out;
}

std::optional<ScoreSpec> read_score(const std::string& name, const Value& value, Diagnostics& problems) {
    const auto path = "detect.scores." + name;
    check_name(name, path, value.origin, problems);
    if (!value.is_table()) {
        problems.add(value.origin, fmt::format("{}: found {}, expected a table: {{ use = \"error\", ... }}",
                                               path, found(value)));
        return {};
    }
    ScoreSpec out;
    out.name = name;
    out.origin = value.origin;
    out.use = read_text(value.table(), "use", path, "", problems);
    if (std::find(score_kinds.begin(), score_kinds.end(), out.use) == score_kinds.end()) {
        problems.add(value.origin, fmt::format("{}.use: found \"{}\", expected one of {}{}", path, out.use,
                                               join(score_kinds), did_you_mean(out.use, score_kinds)));
        return {};
    }
    auto options = value.table();
    options.erase("use");
    out.options = bind_options(options, score_schema(out.use), path, value.origin, problems);
    return out;
}

/// Weighs the scores as `text` says; a score that the sum leaves out is an error, like one that is not there.
void weigh(DetectSpec& spec, const Origin& where, Diagnostics& problems) {
    std::vector<std::string> names;
    for (const auto& score : spec.scores) names.push_back(score.name);
    if (spec.score.empty()) spec.score = join(names, " + ");
    const auto sum = read_sum(spec.score);
    if (!sum) {
        problems.add(where,
                     fmt::format("detect.score: found \"{}\", expected a sum of scores with weights above "
                                 "0, such as \"restore + 0.5 * distance\"",
                                 spec.score));
        return;
    }
    for (const auto& [name, weight] : *sum)
        if (std::find(names.begin(), names.end(), name) == names.end())
            problems.add(where, fmt::format("detect.score: found '{}', expected one of {}{}", name, join(names),
                                            did_you_mean(name, names)));
    for (auto& score : spec.scores) {
        const auto weight = sum->find(score.name);
        if (weight == sum->end())
            problems.add(where,
                         fmt::format("detect.score: \"{}\" leaves out '{}', which has a section; add it to the "
                                     "sum or remove the section",
                                     spec.score, score.name));
        else
            score.weight = weight->second;
    }
}

}  // namespace

Schema score_schema(const std::string& use) {
    Schema schema;
    if (use == "error") {
        schema.text("output", "")
            .required()
            .doc("image-shaped output that is compared with the film, `student.restored`");
        schema.text("mask", "mask")
            .doc("view that says what to hide, 1 where hidden; \"\" = nothing is hidden");
        schema.integer("window", 2)
            .range(1, 1024)
            .doc("edge of the hidden squares, in patches of `patch` pixels");
        schema.integer("patch", 16).range(1, 1024).doc("edge of a patch in pixels; divides data.size");
        schema.integer("passes", 4)
            .range(0, 1024)
            .doc(
                "forward passes that share the squares; each pixel is hidden in one. 0 = a pass for each "
                "square");
        schema.text("norm", "squared").choices({"squared", "absolute"}).doc("of the difference in grey levels");
    } else {
        schema.text("tokens", "").required().doc("output B L K, such as `student.logits`");
        schema.text("prototypes", "")
            .doc("output L K with a distribution for each position; \"\" = the mean of the normal images");
        schema.number("temperature", 0.1)
            .range(0, 1e3)
            .doc("of the softmax that makes distributions of the tokens; 0 = they are distributions");
    }
    return schema;
}

Schema detect_schema() {
    const LabelledSpec labelled;
    const DetectSpec defaults;
    Schema schema;
    schema.text("source", "").required().doc("\"phantom\", or a manifest (CSV) with labels");
    schema.text("normal_where", "").doc("normal images that the scores are standardised on");
    schema.text("validation_where", "")
        .doc(
            "labelled images on which the threshold of best F1 is chosen; \"\" = the quantile of the normal "
            "ones");
    schema.text("test_where", "").doc("rows that are scored");
    schema.text("label", labelled.label).doc("column of the label");
    schema.text("positive", "").required().doc("value or values, comma separated, that count as abnormal");
    schema.text("negative", "").doc("value that counts as normal; \"\" = all others");
    schema.text("patient", labelled.patient)
        .doc("column for the bootstrap; without it every image is its own patient");
    schema.text("kind", "").doc("column with kinds of abnormality, for an AUC of each; \"\" = none");
    schema.text("mask", "")
        .doc("column with masks, for scores of pixels; generated images need none; \"\" = no masks");
    schema.text("score", "").doc("sum of the scores, \"restore + 0.5 * distance\"; \"\" = all, equally");
    schema.text("normalise", defaults.normalise)
        .choices({"position", "image"})
        .doc("values of pixels are standardised at each place of the image, or with one mean and deviation");
    schema.number("smooth", defaults.smooth)
        .range(0, 0.5)
        .doc("deviation of the Gaussian that smooths a heat map, as a share of the image's side");
    schema.number("top", defaults.top)
        .range(1e-6, 1)
        .doc("share of the highest pixels whose mean is the score of an image; 1 = all");
    schema.number("quantile", defaults.quantile)
        .range(0, 1)
        .doc("of the scores of normal images that is the threshold, without validation_where");
    schema.integer("neighbours", defaults.neighbours)
        .range(1, any_count)
        .doc("normal films that the baseline \"pixels k-NN\" measures the distance to");
    schema.integer("components", defaults.components)
        .range(1, any_count)
        .doc("principal components of normal films that the baseline \"pixels PCA\" takes out of a film");
    schema.boolean("overlap", labelled.overlap)
        .doc("test on films and patients that were trained or standardised on too; else that is refused");
    schema.integer("limit", labelled.limit)
        .range(0, any_count)
        .doc("at most so many images of each part; 0 = all");
    schema.integer("batch", defaults.batch).range(1, 1e6).doc("images that are scored together");
    schema.integer("heatmaps", defaults.heatmaps).range(0, 1e6).doc("test images whose heat map is written");
    schema.integer("phantom_count", labelled.phantom_count)
        .range(0, any_count)
        .doc("generated images, when source = \"phantom\"");
    schema.integer("phantom_seed", labelled.phantom_seed)
        .range(0, any_count)
        .doc("seed of the generated images");
    return schema;
}

std::optional<DetectSpec> read_detect(const Table& tree, const std::vector<std::string>& opens,
                                      Diagnostics& problems) {
    const Value* section = tree.find("detect");
    if (section == nullptr) return {};
    if (!section->is_table()) {
        problems.add(section->origin,
                     fmt::format("detect: found {}, expected a table: write [detect]", found(*section)));
        return {};
    }
    DetectSpec out;
    const Value* scores = section->table().find("scores");
    bool whole = scores != nullptr && scores->is_table() && !scores->table().empty();
    if (!whole)
        problems.add(
            scores == nullptr ? section->origin : scores->origin,
            "detect.scores: expected at least one [detect.scores.NAME] with use = \"error\" or \"distance\"");
    else
        for (const auto& name : scores->table().keys()) {
            auto score = read_score(name, *scores->table().find(name), problems);
            whole = whole && score;
            if (score) out.scores.push_back(std::move(*score));
        }
    auto table = without_needs(section->table(), "detect", detect_schema(), opens);
    table.erase("scores");
    const auto options = bind_options(table, detect_schema(), "detect", section->origin, problems);
    out.labelled.source = options.text("source");
    out.labelled.train_where = options.text("normal_where");
    out.labelled.test_where = options.text("test_where");
    out.labelled.label = options.text("label");
    out.labelled.positive = options.text("positive");
    out.labelled.negative = options.text("negative");
    out.labelled.patient = options.text("patient");
    out.labelled.overlap = options.boolean("overlap");
    out.labelled.limit = options.integer("limit");
    out.labelled.phantom_count = options.integer("phantom_count");
    out.labelled.phantom_seed = options.integer("phantom_seed");
    out.labelled.written = written_in(*section);
    out.labelled.origin = section->origin;
    out.validation_where = options.text("validation_where");
    out.mask = options.text("mask");
    out.kind = options.text("kind");
    out.score = options.text("score");
    out.normalise = options.text("normalise");
    out.quantile = options.number("quantile");
    out.smooth = options.number("smooth");
    out.top = options.number("top");
    out.batch = options.integer("batch");
    out.heatmaps = options.integer("heatmaps");
    out.neighbours = options.integer("neighbours");
    out.components = options.integer("components");
    const Value* sum = table.find("score");
    if (whole)  // else the sum would be blamed for scores that are wrong themselves
        weigh(out, sum != nullptr ? sum->origin : section->origin, problems);
    return out;
}

}  // namespace hearth::recipe
