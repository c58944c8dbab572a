#include "eval/pictures/clusters.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <hearth/text.hpp>
#include <numeric>
#include <optional>

#include "images/cell.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;

constexpr std::size_t most_cells = 1 << 22;  ///< of a table that pictures.json holds

/// A buffer, and the row that its name was followed by.
struct Found {
    std::string name;
    Tensor tensor;
    std::int64_t row = 0;
};

std::optional<Found> look_up(const plan::Plan& plan, const std::string& asked) {
    const auto state = plan.state();
    const auto named = [&](const std::string& name) {
        return std::ranges::find(state, name, [](const auto& item) { return item.first; });
    };
    if (const auto whole = named(asked); whole != state.end()) return Found{asked, whole->second};
    const auto dot = asked.rfind('.');
    if (dot == std::string::npos) return std::nullopt;
    Found found{.name = asked.substr(0, dot), .tensor = {}};
    const auto* end = asked.data() + asked.size();
    const auto number = std::from_chars(asked.data() + dot + 1, end, found.row);
    const auto before = named(found.name);
    if (number.ec != std::errc() || number.ptr != end || found.row < 0 || before == state.end())
        return std::nullopt;
    found.tensor = before->second;
    return found;
}

std::string shape_text(const Tensor& tensor) {
    return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

bool has_whole_numbers(const Tensor& tensor) {
    return tensor.dim() > 0 && at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false);
}

/// "; expected one of loss.groups.found [2, 40] (did you mean 'loss.groups.found'?)".
std::string candidates(const plan::Plan& plan, const std::string& asked) {
    std::vector<std::string> names, shown;
    for (const auto& [name, tensor] : plan.state())
        if (has_whole_numbers(tensor)) {
            names.push_back(name);
            shown.push_back(name + " " + shape_text(tensor));
        }
    if (names.empty())
        return "; expected one of whole numbers, one for each training image, and no component of this run has "
               "one";
    return fmt::format("; expected one of {}{}", join(shown), did_you_mean(asked, names));
}

/// Groups are the distinct values, in their order.
Grouping numbered(const std::string& name, const std::vector<std::int64_t>& values) {
    Grouping out{.name = name, .names = {}, .of = {}};
    auto groups = values;
    std::erase_if(groups, [](std::int64_t value) { return value < 0; });
    std::ranges::sort(groups);
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    for (const auto group : groups) out.names.push_back(fmt::format("cluster {}", group));
    for (const auto value : values)
        out.of.push_back(
            value < 0 ? -1 : static_cast<int>(std::ranges::lower_bound(groups, value) - groups.begin()));
    return out;
}

/// Groups by how many of `rows` they have, the largest first, without empty ones.
std::vector<int> by_size(const std::vector<int>& rows, std::size_t groups) {
    std::vector<std::int64_t> sizes(groups, 0);
    for (const int row : rows) ++sizes[static_cast<std::size_t>(row)];
    std::vector<int> order(groups);
    std::iota(order.begin(), order.end(), 0);
    std::erase_if(order, [&](int group) { return sizes[static_cast<std::size_t>(group)] == 0; });
    std::ranges::stable_sort(order, std::greater(),
                             [&](int group) { return sizes[static_cast<std::size_t>(group)]; });
    return order;
}

std::vector<std::size_t> places(const std::vector<int>& order, std::size_t groups) {
    std::vector<std::size_t> out(groups, 0);
    for (std::size_t i = 0; i < order.size(); ++i) out[static_cast<std::size_t>(order[i])] = i;
    return out;
}

std::vector<std::string> names_in(const std::vector<int>& order, const std::vector<std::string>& names) {
    std::vector<std::string> out;
    for (const int group : order) out.push_back(names[static_cast<std::size_t>(group)]);
    return out;
}

}  // namespace

Grouping divide_by_buffer(const plan::Plan& plan, const std::string& buffer, std::int64_t images,
                          const std::string& who) {
    const auto found = look_up(plan, buffer);
    if (!found)
        throw RecipeError(
            fmt::format("{}: found no buffer '{}' in the run's plan{}", who, buffer, candidates(plan, buffer)));
    const auto& [name, tensor, row] = *found;
    if (!has_whole_numbers(tensor))
        throw RecipeError(fmt::format("{}: found {} with {} numbers {}{}", who, name,
                                      at::toString(tensor.scalar_type()), shape_text(tensor),
                                      candidates(plan, name)));
    const auto length = tensor.size(-1);
    if (length == 0)
        throw RecipeError(
            fmt::format("{}: found {} still empty, expected a number for each of {} training images; its "
                        "component had not filled it when the checkpoint was written: take a later one "
                        "(--checkpoint), or train longer",
                        who, name, images));
    if (length != images)
        throw RecipeError(
            fmt::format("{}: found {} {}, expected {} along the last axis, as [data] has images; the numbers "
                        "are those of the images that the run trained on: leave [data] and its table as they "
                        "were, or name another buffer",
                        who, name, shape_text(tensor), images));
    const auto rows = tensor.to(at::kCPU, at::kLong).reshape({-1, length}).contiguous();
    if (row >= rows.size(0))
        throw RecipeError(fmt::format("{}: found row {} of {} {}, expected 0 to {}", who, row, name,
                                      shape_text(tensor), rows.size(0) - 1));
    const auto* first = rows.const_data_ptr<std::int64_t>() + row * length;
    return numbered(buffer, std::vector<std::int64_t>(first, first + length));
}

Grouping divide_by_columns(const data::Dataset& images, const std::vector<std::string>& columns,
                           const std::string& who) {
    std::vector<std::string> cells(static_cast<std::size_t>(images.size()));
    for (const auto& column : columns)
        for (std::int64_t i = 0; i < images.size(); ++i) {
            const auto cell = images.cell(i, column);
            if (!cell)
                throw RecipeError(fmt::format("{}: {} in the table of the training images, [data]", who,
                                              data::no_column(images, column)));
            auto& text = cells[static_cast<std::size_t>(i)];
            if (columns.size() == 1)
                text = images::key(*cell);
            else if (images::key(*cell) == "1")
                text += (text.empty() ? "" : " + ") + column;
        }
    if (columns.size() > 1) std::ranges::replace(cells, std::string(), std::string("none"));
    Grouping out{.name = join(columns), .names = cells, .of = {}};
    std::erase(out.names, "");
    std::ranges::sort(out.names);
    out.names.erase(std::unique(out.names.begin(), out.names.end()), out.names.end());
    for (const auto& cell : cells)
        out.of.push_back(cell.empty()
                             ? -1
                             : static_cast<int>(std::ranges::lower_bound(out.names, cell) - out.names.begin()));
    return out;
}

Embedding grouped(const EmbeddedImages& some, const Grouping& division, const std::string& none) {
    const auto last = division.names.size();
    std::vector<std::size_t> groups;
    std::vector<int> number(last + 1, -1);
    for (const auto image : some.images) {
        const int group = division.of[static_cast<std::size_t>(image)];
        groups.push_back(group < 0 ? last : static_cast<std::size_t>(group));
        number[groups.back()] = 0;
    }
    Embedding out{.x = some.x, .groups = {}, .names = {}};
    for (std::size_t group = 0; group <= last; ++group) {
        if (number[group] < 0) continue;
        number[group] = static_cast<int>(out.names.size());
        out.names.push_back(group == last ? none : division.names[group]);
    }
    for (const auto group : groups) out.groups.push_back(number[group]);
    return out;
}

CrossTable cross_table(const Grouping& clusters, const Grouping& labels) {
    CrossTable out;
    out.clusters = clusters.name;
    out.labels = labels.name;
    std::vector<int> a, b;
    for (std::size_t i = 0; i < clusters.of.size(); ++i) {
        if (clusters.of[i] < 0 || labels.of[i] < 0) continue;
        a.push_back(clusters.of[i]);
        b.push_back(labels.of[i]);
    }
    out.images = std::ssize(a);
    out.left_out = std::ssize(clusters.of) - out.images;
    const auto rows = by_size(a, clusters.names.size()), columns = by_size(b, labels.names.size());
    const auto row_of = places(rows, clusters.names.size()), column_of = places(columns, labels.names.size());
    out.cluster_names = names_in(rows, clusters.names);
    out.label_names = names_in(columns, labels.names);
    if (rows.size() * columns.size() > most_cells)
        throw RecipeError(fmt::format(
            "found {} groups of {} and {} of {}, too many to count one against the other; --by names "
            "a column with fewer values",
            rows.size(), clusters.name, columns.size(), labels.name));
    out.counts.assign(rows.size(), std::vector<std::int64_t>(columns.size(), 0));
    for (std::size_t i = 0; i < a.size(); ++i)
        ++out.counts[row_of[static_cast<std::size_t>(a[i])]][column_of[static_cast<std::size_t>(b[i])]];
    if (!columns.empty())
        out.most_frequent =
            static_cast<double>(std::ranges::count(b, columns.front())) / static_cast<double>(b.size());
    out.found = agreement(a, b);
    out.chance = agreement_by_chance(a, b);
    return out;
}

}  // namespace hearth::eval
