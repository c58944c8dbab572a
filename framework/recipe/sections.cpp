// The fixed sections, from tables to typed values.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/words.hpp>
#include <optional>
#include <sstream>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

struct Section {
    Options options;
    Origin origin;
    Written written = {};
};

/// The section checked against its schema. A section that is not there has its defaults.
Section read(const Table& tree, const std::string& name, const Schema& schema, const Recipe& recipe,
             Diagnostics& problems, const std::vector<std::string>& opens = table_sections) {
    static const Table nothing;
    const Value* value = tree.find(name);
    const Origin origin = value != nullptr ? value->origin : Origin{recipe.file.string(), 0, 0};
    if (value != nullptr && !value->is_table()) {
        problems.add(origin, fmt::format("{0}: found {1}, expected a table: write [{0}]", name, found(*value)));
        return {Options(schema), origin};
    }
    const auto table = without_needs(value != nullptr ? value->table() : nothing, name, schema, opens);
    auto written = value != nullptr ? written_in(*value) : Written();
    return {bind_options(table, schema, name, origin, problems), origin, std::move(written)};
}

/// Where `key` of section `name` was written.
Origin place(const Table& tree, const std::string& name, const std::string& key) {
    const Value* section = tree.find(name);
    const Value* value = section != nullptr && section->is_table() ? section->table().find(key) : nullptr;
    return value != nullptr ? value->origin : Origin{};
}

DataSpec data_from(const Section& section) {
    const auto& options = section.options;
    DataSpec out;
    out.source = options.text("source");
    out.where = options.text("where");
    out.phantom_count = options.integer("phantom_count");
    out.phantom_seed = options.integer("phantom_seed");
    out.phantom_lesions = options.number("phantom_lesions");
    out.size = options.integer("size");
    out.channels = options.integer("channels");
    out.fit = options.text("fit");
    out.label = options.text("label");
    out.positive = options.text("positive");
    out.negative = options.text("negative");
    out.uncertain = options.text("uncertain");
    out.blank = options.text("blank");
    out.mask = options.text("mask");
    out.patient = options.text("patient");
    out.fraction = options.number("fraction");
    out.folds = options.integer("folds");
    out.fold = options.integer("fold");
    out.split_seed = options.integer("split_seed");
    out.workers = options.integer("workers");
    out.prefetch = options.integer("prefetch");
    out.cache = options.text("cache");
    out.cache_folder = options.text("cache_folder");
    out.masks_per_image = options.integer("masks_per_image");
    out.augment_on = options.text("augment_on");
    out.max_pixels = options.integer("max_pixels");
    out.max_bad = options.number("max_bad");
    out.written = section.written;
    out.origin = section.origin;
    return out;
}

TrainSpec train_from(const Section& section) {
    const auto& options = section.options;
    TrainSpec out;
    out.epochs = options.integer("epochs");
    out.batch = options.integer("batch");
    out.accumulate = options.integer("accumulate");
    out.precision = options.text("precision");
    out.device = options.text("device");
    out.seed = options.integer("seed");
    out.threads = options.integer("threads");
    out.log_every = options.integer("log_every");
    out.timeout = options.integer("timeout");
    out.checkpoint_every = options.integer("checkpoint_every");
    out.origin = section.origin;
    return out;
}

OptimizerSpec optimizer_from(const Section& section) {
    const auto& options = section.options;
    OptimizerSpec out;
    out.use = options.text("use");
    out.lr = options.schedule("lr");
    out.weight_decay = options.schedule("weight_decay");
    out.layer_decay = options.number("layer_decay");
    out.lr_batch = options.number("lr_batch");
    out.beta1 = options.numbers("betas")[0];
    out.beta2 = options.numbers("betas")[1];
    out.eps = options.number("eps");
    out.clip = options.number("clip");
    out.clip_mode = options.text("clip_mode");
    out.clip_slices = options.texts("clip_slices");
    out.freeze = options.texts("freeze");
    out.freeze_epochs = options.integer("freeze_epochs");
    out.no_decay = options.texts("no_decay");
    out.origin = section.origin;
    return out;
}

/// "teacher_kl < 0.01"; nothing where the text is not like that.
std::optional<TermRule> term_rule(const std::string& text, const Origin& origin) {
    auto spaced = text;
    if (const auto sign = text.find_first_of("<>"); sign != std::string::npos)
        spaced = text.substr(0, sign) + ' ' + text[sign] + ' ' + text.substr(sign + 1);
    std::istringstream words(spaced);
    TermRule rule;
    std::string sign;
    if (!(words >> rule.term >> sign >> rule.bound) || !(words >> std::ws).eof()) return {};
    if (sign != "<" && sign != ">") return {};
    rule.below = sign == "<";
    rule.origin = origin;
    return rule;
}

MonitorSpec monitor_from(const Section& section, const Origin& rules, Diagnostics& problems) {
    const auto& options = section.options;
    MonitorSpec out;
    out.features = options.text("features");
    out.assignments = options.text("assignments");
    for (const auto& text : options.texts("collapse_if")) {
        if (auto rule = term_rule(text, rules))
            out.collapse_if.push_back(*rule);
        else
            problems.add(rules,
                         fmt::format("monitor.collapse_if: found \"{}\", expected a loss term and a bound, "
                                     "such as \"teacher_kl < 0.01\"",
                                     text));
    }
    out.on_collapse = options.text("on_collapse");
    out.on_nan = options.text("on_nan");
    out.min_rank = options.number("min_rank");
    out.min_std = options.number("min_std");
    out.min_entropy = options.number("min_entropy");
    out.patience = options.integer("patience");
    out.origin = section.origin;
    return out;
}

LabelledSpec labelled_from(const Section& section) {
    const auto& options = section.options;
    LabelledSpec out;
    out.written = section.written;
    out.source = options.text("source");
    out.train_where = options.text("train_where");
    out.test_where = options.text("test_where");
    out.label = options.text("label");
    out.positive = options.text("positive");
    out.negative = options.text("negative");
    out.uncertain = options.text("uncertain");
    out.blank = options.text("blank");
    out.patient = options.text("patient");
    out.head = options.text("head");
    out.mask = options.text("mask");
    out.fraction = options.number("fraction");
    out.validation_where = options.text("validation_where");
    out.every = options.integer("every");
    out.k = options.integer("k");
    out.features = options.text("features");
    out.network = options.text("network");
    out.region = options.text("region");
    out.folds = options.integer("folds");
    out.probes = words_of(options.text("probe"));
    out.overlap = options.boolean("overlap");
    out.limit = options.integer("limit");
    out.size = options.integer("size");
    out.phantom_count = options.integer("phantom_count");
    out.phantom_seed = options.integer("phantom_seed");
    out.origin = section.origin;
    return out;
}

void check_parts(const DataSpec& data, const Origin& fold, Diagnostics& problems) {
    if (data.folds == 1)
        problems.add(data.origin, "data.folds: found 1, expected 0 (none) or at least 2");
    else if (data.fold > 0 && data.fold >= data.folds)
        problems.add(fold, fmt::format("data.fold: found {}, expected less than data.folds = {}", data.fold,
                                       data.folds));
    if ((data.folds > 0 || data.fraction < 1) && data.label.empty())
        problems.add(
            data.origin,
            "data.folds and data.fraction divide the patients of each class: set data.label, the column of "
            "the class");
}

}  // namespace

bool is_device(const std::string& text) {
    if (text == "auto" || text == "cpu" || text == "cuda") return true;
    const auto number = text.starts_with("cuda:") ? text.substr(5) : "";
    return !number.empty() && number.size() < 4 &&
           std::all_of(number.begin(), number.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

Table without_needs(const Table& section, const std::string& name, const Schema& schema,
                    const std::vector<std::string>& opens) {
    auto out = section;
    if (std::ranges::find(opens, name) != opens.end()) return out;
    for (const auto& option : schema.options())
        if (option.needed && out.find(option.name) == nullptr) out.set(option.name, Value{std::string(), {}});
    return out;
}

std::map<std::string, std::string> texts_of(const Written& written) {
    std::map<std::string, std::string> out;
    for (const auto& [key, origin] : written) out[key] = origin.text();
    return out;
}

Written written_in(const Value& section) {
    Written out;
    if (section.is_table())
        for (const auto& key : section.table().keys()) out[key] = section.table().find(key)->origin;
    return out;
}

void read_sections(const Table& tree, const std::vector<std::string>& opens, Recipe& recipe,
                   Diagnostics& problems) {
    recipe.data = data_from(read(tree, "data", data_schema(), recipe, problems, opens));
    if (recipe.data.channels == 2)
        problems.add(place(tree, "data", "channels"), "data.channels: found 2, expected 1 or 3");
    check_parts(recipe.data, place(tree, "data", "fold"), problems);
    recipe.train = train_from(read(tree, "train", train_schema(), recipe, problems));
    if (recipe.train.batch % recipe.data.masks_per_image != 0)
        problems.add(
            place(tree, "data", "masks_per_image"),
            fmt::format("data.masks_per_image: found {} with train.batch = {}, expected a divisor of it: a "
                        "batch holds all samples of an image",
                        recipe.data.masks_per_image, recipe.train.batch));
    if (!is_device(recipe.train.device))
        problems.add(
            place(tree, "train", "device"),
            fmt::format("train.device: found \"{}\", expected auto, cpu, cuda or cuda:N", recipe.train.device));
    recipe.optimizer = optimizer_from(read(tree, "optimizer", optimizer_schema(), recipe, problems));
    recipe.monitor = monitor_from(read(tree, "monitor", monitor_schema(), recipe, problems),
                                  place(tree, "monitor", "collapse_if"), problems);
    for (const auto& [name, labelled] : {std::pair{"probe", &recipe.probe}, {"eval", &recipe.eval}}) {
        if (tree.find(name) == nullptr) continue;
        *labelled = labelled_from(read(tree, name, labelled_schema(), recipe, problems));
        check_labelled(name, **labelled, recipe, problems);
        if ((*labelled)->source.empty()) (*labelled)->source = recipe.data.source;
    }
}

}  // namespace hearth::recipe
