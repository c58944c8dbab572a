#include "eval/anomaly/images.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "eval/probe/apart.hpp"
#include "eval/probe/batches.hpp"
#include "recipe/word_list.hpp"

namespace hearth::eval {
namespace {

/// `classes`: those that need no image; without them each class has to have one.
LabelledSet labelled_rows(const recipe::Recipe& recipe, const std::string& where,
                          std::vector<std::string> classes) {
    LabelledSet set{open_rows(recipe, recipe.detect->labelled, where), {}};
    set.labels = read_labels(*set.images, recipe.detect->labelled, std::move(classes));
    return set;
}

/// Scores are standardised on these images, so an abnormal one among them would hide what it looks like.
void expect_normal(const data::Dataset& images, const recipe::LabelledSpec& spec) {
    const auto columns = recipe::word_list(spec.label);
    if (columns.size() != 1 || !images.cell(0, columns.front())) return;  // said where tests are read
    const auto labels = read_labels(images, spec, {spec.negative, spec.positive});
    for (std::int64_t i = 0; i < images.size(); ++i) {
        if (labels.of[static_cast<std::size_t>(i)] != 1) continue;
        const auto label = *images.cell(i, columns.front());
        throw DataError(
            fmt::format("{}: detect.normal_where selects {}, whose {} is '{}'; expected normal images "
                        "alone: add a condition such as {} != \"{}\"",
                        spec.origin.text(), images.name(i), spec.label, label, spec.label, label));
    }
}

}  // namespace

AnomalyImages open_anomaly_images(const recipe::Recipe& recipe, const data::Dataset* trained) {
    const auto& spec = *recipe.detect;
    AnomalyImages out;
    out.normal.images = open_rows(recipe, spec.labelled, spec.labelled.train_where);
    expect_normal(*out.normal.images, spec.labelled);
    if (!spec.validation_where.empty()) out.validation = labelled_rows(recipe, spec.validation_where, {});
    out.test =
        labelled_rows(recipe, spec.labelled.test_where, {spec.labelled.negative, spec.labelled.positive});
    if (!spec.kind.empty() && out.test.images->cell(0, spec.kind))
        data::expect_one_spelling(*out.test.images, spec.kind, spec.labelled.place("kind").text() + ": kind");
    out.test.notes = expect_detection_apart(recipe, out.normal, out.validation ? &*out.validation : nullptr,
                                            out.test, trained);
    return out;
}

std::string note_on_abnormal(const recipe::Recipe& recipe, const data::Dataset& trained) {
    const auto& spec = recipe.detect->labelled;
    const auto& data = recipe.data;
    const auto columns = recipe::word_list(spec.label);
    if (!data.label.empty() || !data.mask.empty()) return "";  // abnormal images are taught as such
    if (columns.size() != 1 || !trained.cell(0, columns.front())) return "";
    std::int64_t abnormal = 0;
    try {
        abnormal = std::ranges::count(read_labels(trained, spec, {spec.negative, spec.positive}).of, 1);
    } catch (const Error&) {  // the table of [data] need not be one for [detect]
        return "";
    }
    if (abnormal == 0) return "";
    const auto remedy = spec.source == data.source
                            ? "data.where = " + recipe::Value{spec.train_where, {}}.to_toml()
                            : fmt::format("a condition on `{}` in data.where", columns.front());
    return fmt::format(
        "{} of {} images of [data] are abnormal by the label of [detect], whose scores are of what a network "
        "has "
        "learned from normal images; to leave them out: {}",
        abnormal, trained.size(), remedy);
}

cv::Mat load_mask(const LabelledSet& set, std::int64_t index, const recipe::LabelledSpec& spec,
                  const std::string& column, const recipe::DataSpec& data,
                  std::vector<data::Quarantined>& unusable) {
    const int side = static_cast<int>(data.size);
    if (column.empty() && spec.source != "phantom") return {};
    const auto before = unusable.size();
    if (auto mask = usable_mask(*set.images, index, column, unusable)) return *mask;
    if (unusable.size() > before) return {};
    if (!set.images->cell(index, column))
        throw RecipeError(fmt::format("{}: mask: {}; set it to a column with masks, or mask = \"\"",
                                      spec.place("mask").text(), data::no_column(*set.images, column)));
    return !set.labels.several && set.labels.of[static_cast<std::size_t>(index)] == 0
               ? cv::Mat::zeros(side, side, CV_8U)
               : cv::Mat();
}

}  // namespace hearth::eval
