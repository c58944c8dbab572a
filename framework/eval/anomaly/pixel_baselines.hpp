// What pixels alone say of a film, beside which a network's scores have to stand: the distance to the nearest
// normal films, and what is left of a film when the principal components of normal ones are taken out.
// docs/detect.md.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "eval/anomaly/map.hpp"
#include "recipe/recipe.hpp"

namespace hearth::eval {

/// Told how many images are done.
using Progress = std::function<void(std::int64_t done, std::int64_t total)>;

/// Images [B, C, S, S] become films [B, s, s] of s = min(S, 32) pixels, float: the mean of the channels, made
/// smaller by a triangular filter (antialiased bilinear). 4 KiB a film.
at::Tensor small_films(const at::Tensor& images);

/// Mean Euclidean distance to the nearest of the normal films.
class NearestFilms {
  public:
    /// `normal` is [N, s, s] with N of at least 2, else DataError. At most N - 1 neighbours are used.
    NearestFilms(const at::Tensor& normal, std::int64_t neighbours);

    /// Of films [B, s, s], in grey levels; one value a film. `progress` is told of each piece where there are
    /// several.
    std::vector<double> distances(const at::Tensor& films, const Progress& progress = {}) const;
    /// Of the normal films themselves, each without itself as a neighbour.
    std::vector<double> own_distances(const Progress& progress = {}) const;
    std::int64_t neighbours() const { return neighbours_; }

  private:
    std::vector<double> nearest(const at::Tensor& rows, bool own, const Progress& progress) const;

    at::Tensor mean_;     ///< [F]
    at::Tensor normal_;   ///< [N, F], float, less the mean: products of small numbers are rounded less
    at::Tensor squares_;  ///< [N], squared lengths of these
    std::int64_t neighbours_;
};

/// Squared residuals of films, each of mean 0 and variance 1, without the principal components of normal ones.
/// The components are the first eigenvectors of the covariance, which is summed up in pieces: memory does not
/// grow with the number of films.
class PrincipalFilms {
  public:
    /// `normal` is [N, s, s]. Of N films at most (N - 1) / 2 components are used, and at most s * s / 2: with
    /// all of them nothing of a normal film would be left over, and nothing could be compared with it.
    PrincipalFilms(const at::Tensor& normal, std::int64_t components);

    /// films [B, s, s] -> [B, s, s], in variances of the film.
    at::Tensor residuals(const at::Tensor& films) const;
    std::int64_t components() const { return basis_.size(1); }

  private:
    at::Tensor mean_;   ///< [F], float
    at::Tensor basis_;  ///< [F, K], float, orthonormal columns
};

/// Both, made into scores as those of a network are: maps smoothed, standardised on the normal images and
/// pooled as [detect] says, scores in deviations of the normal images.
///
///     const PixelBaselines baselines(spec, normal_films);
///     const auto scores = baselines.scores(test_films);  // scores[b][i] of PixelBaselines::names[b], image i
class PixelBaselines {
  public:
    static constexpr std::array names = {"pixels k-NN", "pixels PCA"};
    static constexpr std::size_t with_map = 1;  ///< the one that has a map, too

    /// `normal` is [N, s, s] with N of at least 2, else DataError. `spec` has to outlive this.
    PixelBaselines(const recipe::DetectSpec& spec, const at::Tensor& normal, const Progress& progress = {});

    /// By baseline, of films [B, s, s].
    std::vector<std::vector<double>> scores(const at::Tensor& films, const Progress& progress = {}) const;
    /// By baseline, of the normal films.
    const std::vector<std::vector<double>>& normal_scores() const { return normal_scores_; }
    /// The standardised map of the principal components, [B, s, s] -> [B, side, side].
    at::Tensor map(const at::Tensor& films, std::int64_t side) const;
    /// How they are made, for tables.
    std::string protocol() const;

  private:
    at::Tensor smoothed(const at::Tensor& films) const;

    const recipe::DetectSpec& spec_;
    std::int64_t side_, normal_images_;
    NearestFilms nearest_;
    PrincipalFilms principal_;
    std::vector<MapStatistics> maps_;      ///< one
    std::vector<ScoreStatistics> scores_;  ///< by baseline
    std::vector<std::vector<double>> normal_scores_;
};

}  // namespace hearth::eval
