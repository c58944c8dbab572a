#include "eval/probe/regions.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/tokens.hpp>

#include "data/loader.hpp"
#include "data/subset.hpp"
#include "eval/probe/batches.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;

constexpr std::int64_t region_side = 32;

/// [1, 1, S, S]; undefined where there is none with something inside, which is added to `unusable`.
Tensor region_mask(const LabelledSet& set, std::int64_t image, const std::string& column,
                   std::vector<data::Quarantined>& unusable) {
    const auto before = unusable.size();
    const auto mask = usable_mask(*set.images, image, column, unusable);
    if (mask && cv::countNonZero(*mask) > 0) return data::mask_tensor(*mask).unsqueeze(0);
    if (unusable.size() == before)
        unusable.push_back({image, set.images->name(image),
                            fmt::format("column '{}' {}", column, mask ? "marks nothing" : "is empty")});
    return {};
}

/// The images of a set that have a region, all of its labels kept.
LabelledSet with_region(const LabelledSet& set, const std::string& column,
                        std::vector<data::Quarantined>& unusable) {
    std::vector<std::int64_t> rows;
    for (std::int64_t image = 0; image < set.images->size(); ++image)
        if (labelled(set.labels, image) && region_mask(set, image, column, unusable).defined())
            rows.push_back(image);
    return {data::part_of(set.images, rows), data::rows_of(set.labels, rows)};
}

/// The rectangle of rows and columns that a mask [S, S] reaches, of an image [C, S, S].
Tensor around(const Tensor& image, const Tensor& mask) {
    const auto cut = [&](const Tensor& x, std::int64_t dim, const Tensor& inside) {
        const auto at = inside.nonzero();
        return x.slice(dim, at[0].item<std::int64_t>(), at[-1].item<std::int64_t>() + 1);
    };
    return cut(cut(image, 1, mask.amax(1)), 2, mask.amax(0));
}

}  // namespace

FeatureSet extract_regions(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                           const std::string& column, const RegionExtractor& extractor, c10::Device device,
                           const Comm& comm) {
    std::vector<data::Quarantined> unusable, none;
    const auto kept = with_region(set, column, unusable);
    if (kept.images->size() == 0) throw NothingReadable(*set.images);
    auto out = extract_rows(
        kept, data, limit,
        [&](const Tensor& images, const std::vector<std::int64_t>& rows) {
            std::vector<Tensor> masks;
            for (const auto row : rows) masks.push_back(region_mask(kept, row, column, none));
            return extractor(images, at::cat(masks));
        },
        device, comm);
    out.odd.without_mask = std::move(unusable);
    return out;
}

void check_regions(const LabelledSet& set, const std::string& column, const std::string& place,
                   bool every_class) {
    static_cast<void>(data::missing_masks(*set.images, column, place + ": region"));  // is there a column?
    std::vector<data::Quarantined> unusable;
    const auto kept = with_region(set, column, unusable);
    const auto why = [&] {
        return unusable.empty() ? "" : fmt::format(": {}: {}", unusable.front().name, unusable.front().reason);
    };
    if (kept.images->size() == 0)
        throw DataError(
            fmt::format("{}: region: found no labelled image with something inside its mask of "
                        "column '{}'{}; expected at least one",
                        place, column, why()));
    if (every_class && !set.labels.several)
        for (std::size_t c = 0; c < set.labels.classes.size(); ++c)
            if (std::ranges::find(kept.labels.of, static_cast<int>(c)) == kept.labels.of.end())
                throw DataError(
                    fmt::format("{}: region: of class '{}' no training image has something inside "
                                "its mask of column '{}'{}; expected at least one",
                                place, set.labels.classes[c], column, why()));
}

RegionExtractor region_tokens(const plan::Plan& plan, const std::string& network, const Context& context,
                              bool bf16) {
    return [&plan, network, context, bf16](const Tensor& images, const Tensor& masks) {
        const auto made = frozen_outputs(plan, network, images, context, bf16);
        if (!made.has("tokens"))
            throw RecipeError(fmt::format(
                "the backbone of '{}' writes no patch tokens, which a region's features are the mean of",
                network));
        const auto tokens = made["tokens"].to(at::kFloat);  // [B, L, D]
        const auto patch = patch_edge(images.size(2), images.size(3), tokens.size(1));
        const auto inside = at::avg_pool2d(masks, patch).flatten(1).to(tokens.device(), /*non_blocking=*/true);
        return at::bmm(inside.unsqueeze(1), tokens).squeeze(1) / inside.sum(1, /*keepdim=*/true);
    };
}

RegionExtractor region_pixels(std::int64_t dimensions, std::uint64_t seed) {
    return [project = pixel_projection(dimensions, seed)](const Tensor& images, const Tensor& masks) {
        std::vector<Tensor> regions;
        for (std::int64_t i = 0; i < images.size(0); ++i)
            regions.push_back(at::_upsample_bilinear2d_aa(around(images[i], masks[i][0]).unsqueeze(0),
                                                          {region_side, region_side},
                                                          /*align_corners=*/false));
        return project(at::cat(regions));
    };
}

}  // namespace hearth::eval
