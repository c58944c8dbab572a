#include "eval/pictures/embeddings.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/tokens.hpp>
#include <map>

#include "eval/probe/batches.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;

constexpr std::int64_t batch = 32;
constexpr std::int64_t thirds = 3;

Embedding nine_locations() {
    Embedding out;
    for (const auto* row : {"top", "middle", "bottom"})
        for (const auto* column : {"left", "centre", "right"})
            out.names.push_back(fmt::format("{} {}", row, column));
    return out;
}

void add(Embedding& out, std::vector<Tensor>& parts, const Tensor& rows, int group) {
    parts.push_back(rows.to(at::kCPU, at::kFloat));
    out.groups.insert(out.groups.end(), static_cast<std::size_t>(rows.size(0)), group);
}

}  // namespace

EmbeddedImages embed_images(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                            const Extractor& extractor) {
    const at::NoGradGuard no_grad;
    EmbeddedImages out;
    std::vector<Tensor> parts;
    for_each_batch(set, data, batch, limit,
                   [&](const Tensor& images, const std::vector<std::int64_t>& indices) {
                       parts.push_back(extractor(images).to(at::kCPU, at::kFloat));
                       out.images.insert(out.images.end(), indices.begin(), indices.end());
                   });
    if (parts.empty()) throw NothingReadable(*set.images);
    out.x = at::cat(parts);
    return out;
}

Embedding image_embedding(const LabelledSet& set, const recipe::DataSpec& data, const std::string& column,
                          std::int64_t limit, const Extractor& extractor) {
    if (!column.empty() && !set.images->cell(0, column))
        throw RecipeError("colour: " + data::no_column(*set.images, column));
    const auto embedded = embed_images(set, data, limit, extractor);
    Embedding out{.x = embedded.x, .groups = {}, .names = {}};
    std::vector<std::string> cells;
    for (const auto image : embedded.images)
        cells.push_back(column.empty() ? set.labels.name(image) : *set.images->cell(image, column));
    out.names = cells;
    std::sort(out.names.begin(), out.names.end());
    out.names.erase(std::unique(out.names.begin(), out.names.end()), out.names.end());
    for (const auto& cell : cells)
        out.groups.push_back(
            static_cast<int>(std::lower_bound(out.names.begin(), out.names.end(), cell) - out.names.begin()));
    return out;
}

Embedding token_locations(const LabelledSet& set, const recipe::DataSpec& data, const plan::Plan& plan,
                          const std::string& network, std::int64_t limit, const Context& context) {
    const at::NoGradGuard no_grad;
    auto out = nine_locations();
    std::vector<Tensor> parts;
    const auto use = [&](const Tensor& images, const auto&) {
        const auto made = frozen_outputs(plan, network, images, context);
        if (!made.has("tokens"))
            throw RecipeError(fmt::format("the backbone of '{}' writes no tokens", network));
        const auto tokens = made["tokens"];
        const auto patch = patch_edge(images.size(2), images.size(3), tokens.size(1));
        const auto rows = images.size(2) / patch, columns = images.size(3) / patch;
        for (std::int64_t place = 0; place < thirds * thirds; ++place) {
            const auto row = (2 * (place / thirds) + 1) * rows / (2 * thirds);
            const auto column = (2 * (place % thirds) + 1) * columns / (2 * thirds);
            add(out, parts, tokens.select(1, row * columns + column), static_cast<int>(place));
        }
    };
    for_each_batch(set, data, batch, limit, use, context.device);
    out.x = at::cat(parts);
    return out;
}

Embedding crop_locations(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                         const Extractor& extractor) {
    const at::NoGradGuard no_grad;
    auto out = nine_locations();
    std::vector<Tensor> parts;
    for_each_batch(set, data, batch, limit, [&](const Tensor& images, const auto&) {
        const auto side = images.size(2), edge = side / thirds;
        for (std::int64_t place = 0; place < thirds * thirds; ++place) {
            const auto top = place / thirds * edge, left = place % thirds * edge;
            const auto crop = images.slice(2, top, top + edge).slice(3, left, left + edge);
            const auto large = at::upsample_bilinear2d(crop, {side, images.size(3)}, /*align_corners=*/false);
            add(out, parts, extractor(large), static_cast<int>(place));
        }
    });
    out.x = at::cat(parts);
    return out;
}

}  // namespace hearth::eval
