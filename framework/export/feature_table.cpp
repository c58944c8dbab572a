#include "export/feature_table.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/atomic_file.hpp"
#include "base/csv.hpp"
#include "base/json_text.hpp"
#include "base/safetensors.hpp"
#include "export/npz.hpp"

namespace hearth::exporting {

FeatureTable make_feature_table(const std::shared_ptr<const data::Dataset>& images,
                                const recipe::DataSpec& data, const eval::Extractor& extractor,
                                const TableProgress& progress) {
    const at::NoGradGuard no_grad;
    data::Loader loader(images,
                        {.batch = 64,
                         .workers = data.workers,
                         .channels = data.channels,
                         .shuffle = false,
                         .drop_last = false,
                         .cache = false,
                         .max_bad = data.max_bad},
                        nullptr, {"image", "index"});
    loader.begin(0);
    FeatureTable out;
    std::vector<at::Tensor> features;
    std::vector<bool> seen(static_cast<std::size_t>(images->size()), false);
    Tensors batch;
    while (loader.next(batch)) {
        const auto rows = extractor(batch["image"]).to(at::kCPU, at::kFloat);
        const auto* index = batch["index"].const_data_ptr<std::int64_t>();
        for (std::int64_t i = 0; i < rows.size(0); ++i) {
            const auto at = static_cast<std::size_t>(index[i]);
            if (seen[at]) continue;  // an unreadable image is replaced by one that has its own turn
            seen[at] = true;
            features.push_back(rows[i]);
            out.rows.push_back(index[i]);
        }
        if (progress) progress(static_cast<std::int64_t>(out.rows.size()), images->size());
    }
    out.bad = loader.quarantine();
    out.flat = loader.flat();
    std::vector<std::size_t> order(features.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return out.rows[i]; });
    std::vector<at::Tensor> sorted;
    for (const auto i : order) sorted.push_back(features[i]);
    out.features = at::stack(sorted);
    std::ranges::sort(out.rows);
    return out;
}

std::vector<TextColumn> text_columns(const data::Dataset& images, const std::vector<std::int64_t>& rows,
                                     const std::vector<std::string>& names) {
    std::vector<TextColumn> out = {{"path", {}}};
    for (const auto row : rows)
        out.front().cells.push_back(images.cell(row, "path").value_or(images.name(row)));
    for (const auto& name : names) {
        if (name == "path" || !images.cell(rows.front(), name)) continue;
        out.push_back({name, {}});
        for (const auto row : rows) out.back().cells.push_back(*images.cell(row, name));
    }
    return out;
}

namespace {

void write_npz(const std::filesystem::path& file, const at::Tensor& features,
               const std::vector<TextColumn>& columns) {
    NpzWriter npz(file);
    npz.add("features", features);
    for (const auto& column : columns) npz.add(column.name, column.cells);
    npz.close();
}

void write_csv(const std::filesystem::path& file, const at::Tensor& features,
               const std::vector<TextColumn>& columns) {
    const auto width = features.size(1);
    const auto* values = features.const_data_ptr<float>();
    base::write_atomically(file, [&](std::ostream& out) {
        for (const auto& column : columns) out << base::csv_field(column.name) << ',';
        for (std::int64_t f = 0; f < width; ++f) out << 'f' << f << (f + 1 < width ? ',' : '\n');
        for (std::int64_t row = 0; row < features.size(0); ++row) {
            for (const auto& column : columns)
                out << base::csv_field(column.cells[static_cast<std::size_t>(row)]) << ',';
            for (std::int64_t f = 0; f < width; ++f)  // nine digits give the float back
                out << fmt::format("{:.9g}", *values++) << (f + 1 < width ? ',' : '\n');
        }
    });
}

}  // namespace

void check_feature_file(const std::filesystem::path& file) {
    const auto ending = file.extension();
    if (ending != ".npz" && ending != ".csv" && ending != ".safetensors")
        throw RecipeError(fmt::format(
            "--out: found '{}', expected a file that ends in .npz, .csv or .safetensors", file.string()));
}

void write_feature_table(const std::filesystem::path& file, const FeatureTable& table,
                         const std::vector<TextColumn>& columns,
                         const std::map<std::string, std::string>& metadata) {
    check_feature_file(file);
    const auto features = table.features.contiguous();
    if (file.extension() == ".npz") return write_npz(file, features, columns);
    if (file.extension() == ".csv") return write_csv(file, features, columns);
    auto all = metadata;
    for (const auto& column : columns) all[column.name] = base::json_text(nlohmann::json(column.cells));
    base::write_safetensors(file, {{"features", features}}, all);
}

}  // namespace hearth::exporting
