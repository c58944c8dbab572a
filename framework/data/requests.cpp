#include "data/requests.hpp"

#include <fmt/format.h>

namespace hearth::data {
namespace {

/// "a.toml:4:1: data.source".
template <typename Section>
std::string place_of(const Section& section, const std::string& key, const std::string& name) {
    const auto written = section.written.find(key);
    return fmt::format("{}: {}", (written == section.written.end() ? section.origin : written->second).text(),
                       name);
}

/// Both kinds of section have these keys.
template <typename Section>
LabelRule rule_of(const Section& section) {
    return {.label = section.label,
            .positive = section.positive,
            .negative = section.negative,
            .patient = section.patient,
            .uncertain = section.uncertain,
            .blank = section.blank,
            .where = section.origin.text(),
            .places = recipe::texts_of(section.written)};
}

}  // namespace

DatasetRequest dataset_request(const recipe::DataSpec& data) {
    auto request = dataset_request(data, data.source, data.where);
    request.phantom_count = data.phantom_count;
    request.phantom_seed = data.phantom_seed;
    request.phantom_lesions = data.phantom_lesions;
    request.source_place = place_of(data, "source", "data.source");
    request.where_place = place_of(data, "where", "data.where");
    request.without_split = "where all of its rows are meant, write data.where = \"\"";
    return request;
}

DatasetRequest dataset_request(const recipe::DataSpec& data, const std::string& source,
                               const std::string& where, std::int64_t size) {
    DatasetRequest request;
    request.source = source;
    request.where = where;
    request.size = static_cast<int>(size > 0 ? size : data.size);
    request.fit = data.fit;
    request.max_pixels = data.max_pixels;
    return request;
}

DatasetRequest dataset_request(const recipe::DataSpec& data, const recipe::LabelledSpec& spec,
                               const std::string& where) {
    auto request = dataset_request(data, spec.source, where, spec.size);
    request.phantom_count = spec.phantom_count;
    request.phantom_seed = spec.phantom_seed;
    request.phantom_lesions = 0.5;
    request.source_place = spec.source == data.source && !spec.written.contains("source")
                               ? place_of(data, "source", "data.source")
                               : place_of(spec, "source", "source");
    return request;
}

LabelRule label_rule(const recipe::DataSpec& data) {
    auto rule = rule_of(data);
    rule.section = "data";
    return rule;
}

LabelRule label_rule(const recipe::LabelledSpec& spec) {
    return rule_of(spec);
}

SubsetRule subset_rule(const recipe::DataSpec& data) {
    return {.fraction = data.fraction,
            .folds = static_cast<int>(data.folds),
            .fold = static_cast<int>(data.fold),
            .held_out = false,
            .seed = static_cast<std::uint64_t>(data.split_seed),
            .fraction_place = place_of(data, "fraction", "data.fraction"),
            .folds_place = place_of(data, "folds", "data.folds")};
}

PackRequest pack_request(const recipe::DataSpec& data) {
    return {.folder = data.cache_folder,
            .size = static_cast<int>(data.size),
            .identity = data.source == "phantom"
                            ? fmt::format("phantom {} {}", data.phantom_seed, data.phantom_lesions)
                            : fmt::format("{} {} reduced", data.fit, data.max_pixels),
            .workers = static_cast<int>(data.workers),
            .progress = {}};
}

}  // namespace hearth::data
