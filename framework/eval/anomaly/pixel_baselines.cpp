#include "eval/anomaly/pixel_baselines.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <limits>

#include "eval/probe/classifiers.hpp"
#include "eval/probe/one_thread.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;

constexpr std::int64_t film_side = 32;
constexpr std::int64_t products = 1 << 24;  // distances that are held at once, at most: 64 MiB
constexpr std::int64_t piece = 4096;        // films that are held in double precision at once: 32 MiB

const Tensor& expect_films(const Tensor& normal) {
    if (normal.size(0) < 2)
        throw DataError(fmt::format(
            "detect.normal_where: found {} readable image, expected at least 2: images are scored by "
            "how far they are from normal ones, in deviations of those; widen the condition",
            normal.size(0)));
    return normal;
}

/// [B, s, s] -> [B, F], each row of mean 0 and variance 1; a film of one grey level becomes 0.
Tensor normalised(const Tensor& films) {
    const auto rows = films.flatten(1).to(at::kDouble);
    const auto centred = rows - rows.mean(1, true);
    return centred / centred.square().mean(1, true).sqrt().clamp_min(1e-6);
}

}  // namespace

Tensor small_films(const Tensor& images) {
    const auto grey = images.to(at::kFloat).mean(1, true);
    if (grey.size(2) <= film_side) return grey.squeeze(1);
    return at::_upsample_bilinear2d_aa(grey, {film_side, film_side}, /*align_corners=*/false).squeeze(1);
}

NearestFilms::NearestFilms(const Tensor& normal, std::int64_t neighbours)
    : mean_(expect_films(normal).flatten(1).mean(0)),
      normal_(normal.flatten(1) - mean_),
      squares_(normal_.square().sum(1)),
      neighbours_(std::min(neighbours, normal_.size(0) - 1)) {}

std::vector<double> NearestFilms::distances(const Tensor& films, const Progress& progress) const {
    return nearest(films.flatten(1) - mean_, false, progress);
}

std::vector<double> NearestFilms::own_distances(const Progress& progress) const {
    return nearest(normal_, true, progress);
}

std::vector<double> NearestFilms::nearest(const Tensor& rows, bool own, const Progress& progress) const {
    const auto count = rows.size(0);
    const auto step = std::clamp<std::int64_t>(products / normal_.size(0), 1, piece);
    std::vector<double> out;
    for (std::int64_t first = 0; first < count; first += step) {
        const auto some = rows.slice(0, first, std::min(first + step, count));
        // |a - b|^2 without |a|^2, which is the same for all b, finds the neighbours [B, N] ..
        auto order = at::addmm(squares_, some, normal_.t(), 1, -2);
        if (own)  // image first + i is row i here
            order.diagonal(first).fill_(std::numeric_limits<float>::infinity());
        const auto index = std::get<1>(order.topk(neighbours_, 1, /*largest=*/false, /*sorted=*/false));
        // .. and the distances are taken anew, without the rounding of that product.
        auto sum = at::zeros({some.size(0)}, at::kDouble);
        for (const auto& neighbour : index.unbind(1))
            sum += (normal_.index_select(0, neighbour) - some).to(at::kDouble).square_().sum(1).sqrt_();
        const auto means = numbers_of(sum / static_cast<double>(neighbours_));
        out.insert(out.end(), means.begin(), means.end());
        if (progress && count > step) progress(std::ssize(out), count);
    }
    return out;
}

PrincipalFilms::PrincipalFilms(const Tensor& normal, std::int64_t components) {
    const auto films = normal.size(0), size = normal.size(1) * normal.size(2);
    const auto each_piece = [&](const auto& use) {
        for (std::int64_t first = 0; first < films; first += piece)
            use(normalised(normal.slice(0, first, std::min(first + piece, films))));
    };
    auto mean = at::zeros({size}, at::kDouble);
    each_piece([&](const Tensor& rows) { mean += rows.sum(0) / static_cast<double>(films); });
    auto covariance = at::zeros({size, size}, at::kDouble);
    each_piece([&](const Tensor& rows) {
        const auto centred = rows - mean;
        covariance.addmm_(centred.t(), centred);
    });
    const auto count = std::min({components, (films - 1) / 2, size / 2});
    const OneThread guard;
    const auto vectors = std::get<1>(at::linalg_eigh(covariance));  // by rising eigenvalue
    basis_ = vectors.slice(1, size - count).to(at::kFloat).contiguous();
    mean_ = mean.to(at::kFloat);
}

Tensor PrincipalFilms::residuals(const Tensor& films) const {
    auto out = at::empty(films.sizes(), at::kFloat);
    for (std::int64_t first = 0; first < films.size(0); first += piece) {
        const auto some = films.slice(0, first, std::min(first + piece, films.size(0)));
        const auto centred = normalised(some).to(at::kFloat) - mean_;
        const auto rest = centred - at::mm(at::mm(centred, basis_), basis_.t());
        out.slice(0, first, first + some.size(0)).copy_(rest.square().view(some.sizes()));
    }
    return out;
}

PixelBaselines::PixelBaselines(const recipe::DetectSpec& spec, const Tensor& normal, const Progress& progress)
    : spec_(spec),
      side_(normal.size(1)),
      normal_images_(normal.size(0)),
      nearest_(normal, spec.neighbours),
      principal_(normal, spec.components) {
    const auto maps = smoothed(normal);
    maps_.emplace_back(maps, spec.normalise == "position");
    normal_scores_ = {nearest_.own_distances(progress), pool_maps(maps_.front().standardise(maps), spec.top)};
    for (auto& scores : normal_scores_) {
        scores_.emplace_back(scores);
        scores = scores_.back().standardise(std::move(scores));
    }
}

std::vector<std::vector<double>> PixelBaselines::scores(const Tensor& films, const Progress& progress) const {
    const auto maps = maps_.front().standardise(smoothed(films));
    return {scores_[0].standardise(nearest_.distances(films, progress)),
            scores_[1].standardise(pool_maps(maps, spec_.top))};
}

Tensor PixelBaselines::map(const Tensor& films, std::int64_t side) const {
    const auto maps = maps_.front().standardise(smoothed(films));
    return at::upsample_bilinear2d(maps.unsqueeze(1), {side, side}, /*align_corners=*/false).squeeze(1);
}

Tensor PixelBaselines::smoothed(const Tensor& films) const {
    auto maps = principal_.residuals(films);
    smooth_maps(maps, spec_.smooth * static_cast<double>(side_));
    return maps;
}

std::string PixelBaselines::protocol() const {
    const auto limited = [&](std::int64_t used, std::int64_t asked) {
        return used < asked
                   ? fmt::format(" ({} asked for, more than {} such films allow)", asked, normal_images_)
                   : "";
    };
    return fmt::format(
        "Baselines from films of {} x {} pixels, no part of the sum: k-NN, the mean distance to the {} nearest "
        "of {} normal images{}; PCA, the squared rest of a film of mean 0 and variance 1 without {} principal "
        "components of theirs{}, made a score like the others",
        side_, side_, nearest_.neighbours(), normal_images_, limited(nearest_.neighbours(), spec_.neighbours),
        principal_.components(), limited(principal_.components(), spec_.components));
}

}  // namespace hearth::eval
