// [detect] and its scores: their options, and the sum in which they are weighed.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <hearth/text.hpp>
#include <map>

#include "recipe/components.hpp"
#include "recipe/section_keys.hpp"

namespace hearth::recipe {
namespace {

const std::vector<std::string> score_kinds = {"error", "distance", "output"};

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

struct Term {
    double sign;
    std::string text;
};

/// "a + 2 * b - c" -> "a", "2 * b" and "c" with their signs. Names have hyphens and numbers exponents, so a
/// minus is one where the text begins or a blank stands beside it.
std::vector<Term> terms_of(const std::string& text) {
    const auto blank = [&](std::size_t i) { return i >= text.size() || text[i] == ' '; };
    std::vector<Term> out = {{1, ""}};
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool minus = text[i] == '-' && (i == 0 || blank(i - 1) || blank(i + 1));
        if (minus && trimmed(out.back().text).empty())
            out.back().sign = -out.back().sign;
        else if (minus || text[i] == '+')
            out.push_back({minus ? -1.0 : 1.0, ""});
        else
            out.back().text += text[i];
    }
    return out;
}

/// "restore - 0.5 * density" -> weights by name; nothing where the text is not like that.
std::optional<std::map<std::string, double>> read_sum(const std::string& text) {
    std::map<std::string, double> out;
    for (const auto& term : terms_of(text)) {
        const auto factors = split(term.text, '*');
        if (factors.size() > 2 || factors.back().empty()) return {};
        double weight = 1;
        if (factors.size() == 2) {
            const auto& number = factors.front();
            const auto* const end = number.data() + number.size();
            const auto read = std::from_chars(number.data(), end, weight);
            if (read.ec != std::errc() || read.ptr != end || weight == 0 || !std::isfinite(weight)) return {};
        }
        if (!out.emplace(factors.back(), term.sign * weight).second) return {};
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
                     fmt::format("detect.score: found \"{}\", expected a sum of scores with weights other "
                                 "than 0, such as \"restore + 0.5 * distance\" or \"restore - density\"",
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
    } else if (use == "output") {
        schema.text("output", "")
            .required()
            .doc("values B, or a map B 1 h w, of the dataflow, `density.score`, `loss.restore.per_sample`");
        schema.text("map", "").doc(
            "map B 1 h w beside values B: heat maps and scores of pixels; \"\" = there is none");
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
            "detect.scores: expected at least one [detect.scores.NAME] with use = \"error\", \"distance\" or "
            "\"output\"");
    else
        for (const auto& name : scores->table().keys()) {
            auto score = read_score(name, *scores->table().find(name), problems);
            whole = whole && score;
            if (score) out.scores.push_back(std::move(*score));
        }
    const auto keys = detect_keys();
    auto table = without_needs(section->table(), "detect", to_schema(keys), opens);
    table.erase("scores");
    fill(out, keys, bind_options(table, to_schema(keys), "detect", section->origin, problems));
    out.labelled.written = written_in(*section);
    out.labelled.origin = section->origin;
    const Value* sum = table.find("score");
    if (whole)  // else the sum would be blamed for scores that are wrong themselves
        weigh(out, sum != nullptr ? sum->origin : section->origin, problems);
    return out;
}

}  // namespace hearth::recipe
