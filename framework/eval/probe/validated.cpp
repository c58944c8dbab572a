#include "eval/probe/validated.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/requests.hpp"
#include "eval/probe/apart.hpp"

namespace hearth::eval {

const recipe::LabelledSpec* validated_section(const recipe::Recipe& recipe) {
    const auto section = recipe.validate->section();
    if (section == "probe") return &*recipe.probe;
    return section == "detect" ? &recipe.detect->labelled : nullptr;
}

std::shared_ptr<const data::Dataset> validated_images(const recipe::Recipe& recipe) {
    const auto& spec = *recipe.validate;
    const auto* section = validated_section(recipe);
    auto whole = recipe.data;
    whole.where = spec.where;
    auto request = section != nullptr ? data::dataset_request(recipe.data, *section, spec.where)
                                      : data::dataset_request(whole);
    request.where_place = spec.place("where").text() + ": validate.where";
    request.without_split.clear();  // all rows are those that are trained or tested on
    return data::open_dataset(request);
}

LabelledSet open_validated(const recipe::Recipe& recipe, const std::vector<std::string>& classes) {
    const auto& spec = *recipe.validate;
    LabelledSet out{validated_images(recipe), {}};
    out.labels = read_labels(*out.images, *validated_section(recipe), classes);
    const auto& labels = out.labels;
    for (std::size_t c = 0; c < labels.classes.size() && !labels.several; ++c)
        if (std::ranges::find(labels.of, static_cast<int>(c)) == labels.of.end())
            throw RecipeError(fmt::format(
                "{}: validate.where: found no row of class '{}' among {}, expected some of every class: {} has "
                "no value without",
                spec.place("where").text(), labels.classes[c], out.images->size(), spec.watch));
    return out;
}

data::Part validated_part(const recipe::Recipe& recipe, const data::Dataset& rows) {
    const auto* section = validated_section(recipe);
    return section != nullptr ? part_of_section(rows, *section) : part_of_section(rows, recipe.data);
}

}  // namespace hearth::eval
