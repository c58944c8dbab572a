// Fits a Gaussian to features of normal images once a network is trained, and scores an image by its distance
// from it (Li et al. 2021, CutPaste, arXiv:2104.04015, section 2.3; Rippel et al. 2021, arXiv:2005.14140).
// moments.hpp gathers mean and covariance.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/hearth.hpp>

#include "moments.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// x, a feature vector, of unit length where unit_length says so -> its Mahalanobis distance
///   d(x) = sqrt((x - mean)^T S^-1 (x - mean)) = |L^-1 (x - mean)|,   S = L L^T
/// from the mean of the training set, whose covariance is S. -log p(x) = d^2 / 2 + constant, so that d orders
/// images as the density does: high is abnormal. What x is (`over`), and what is written:
///   "features"    features [B, D]           -> score [B]
///   "map"         feature_map [B, D, h, w]  -> score [B] of its mean over positions, and map [B, 1, h, w]:
///                 Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2) of that score, relu(sum_c g_c A_c) with
///                 g = d score / d A averaged over positions
///   "positions"   feature_map [B, D, h, w]  -> map [B, 1, h, w] of the distance of each position by itself, and
///                 its largest as score [B]
/// Computed in double precision. Buffers, empty until fit():
///   mean [D], double
///   factor [D, D], double: L, lower triangular
///   rows [], int64: how many vectors were fitted
///   shrinkage [], double: the weight of the identity in S
class GaussianDensity : public Head {
  public:
    static void schema(Schema& schema) {
        schema.text("over", "features")
            .choices({"features", "map", "positions"})
            .doc("vectors of images, maps averaged over positions (with a Grad-CAM), or each position");
        schema.boolean("unit_length", true).doc("vectors are divided by their length first");
        schema.text("shrinkage", "ledoit-wolf")
            .choices({"ledoit-wolf", "none"})
            .doc("of the covariance towards a multiple of the identity");
    }
    static Ports reads(const Options& options) {
        if (options.text("over") == "features") return {Port("features", "B D", "one vector an image")};
        return {Port("feature_map", "B D h w", "one vector a position of the image")};
    }
    static Ports writes(const Options& options) {
        Ports ports = {Port("score", "B", "distance from the training set, high where abnormal")};
        if (options.text("over") != "features")
            ports.push_back(Port("map", "B 1 h w", "where the score comes from").maybe());
        return ports;
    }

    GaussianDensity(const Options& options, const Symbols&)
        : over_(options.text("over")),
          unit_length_(options.boolean("unit_length")),
          shrink_(options.text("shrinkage") == "ledoit-wolf"),
          mean_(register_buffer("mean", at::empty({0}, at::kDouble))),
          factor_(register_buffer("factor", at::empty({0, 0}, at::kDouble))),
          rows_(register_buffer("rows", at::zeros({}, at::kLong))),
          shrinkage_(register_buffer("shrinkage", at::zeros({}, at::kDouble))) {}

    Fit fits() const override { return Fit::after; }

    void fit(const Context& context) override {
        const at::NoGradGuard no_grad;
        const FullPrecision exact;
        gaussian_density::Moments moments;
        context.set->each([&](const Tensors& in, const Tensor&) { moments.add(vectors(in)); });
        if (moments.count() < 2)
            throw DataError(
                fmt::format("gaussian-density: found {} vector{} to fit, expected at least two; "
                            "give [data] more images",
                            moments.count(), moments.count() == 1 ? "" : "s"));
        const auto mean = moments.mean();
        auto covariance = moments.covariance();
        const double variance = covariance.trace().item<double>(), width = static_cast<double>(mean.size(0));
        if (!std::isfinite(variance))
            throw NumericError(
                "gaussian-density: features of the training set are not finite; look at the losses of the "
                "run, and lower optimizer.lr");
        if (variance <= 1e-20 * mean.square().sum().item<double>())
            throw NumericError(fmt::format(
                "gaussian-density: found {} equal vectors, expected features that tell images apart; the "
                "network collapsed: look at the losses of the run, and lower optimizer.lr",
                moments.count()));
        const double weight = shrink_ ? moments.shrinkage(covariance) : 0;
        covariance.mul_(1 - weight).diagonal().add_(weight * variance / width);
        const auto [factor, failed] = at::linalg_cholesky_ex(covariance, /*upper=*/false);
        if (failed.item<std::int64_t>() != 0)
            throw NumericError(fmt::format(
                "gaussian-density: the covariance of {} features over {} vectors has no inverse{}",
                mean.size(0), moments.count(),
                shrink_ ? "; some features never change: give the backbone fewer, or train it longer"
                        : "; set shrinkage = \"ledoit-wolf\", or fit more images than there are features"));
        keep(mean_, mean);
        keep(factor_, factor);
        rows_.fill_(moments.count());
        shrinkage_.fill_(weight);
    }

    Tensors forward(const Tensors& in, const Context& context) override {
        if (mean_.numel() == 0)
            throw RecipeError(
                "gaussian-density: found no fitted mean and covariance, expected those that a training ends "
                "with; score a run that has ended, or let `hearth detect` train the recipe first");
        const FullPrecision exact;
        const auto x = vectors(in);
        const auto whitened = at::linalg_solve_triangular(factor_, (x - mean_).t(), /*upper=*/false);
        const auto distance = at::linalg_vector_norm(whitened, 2, at::IntArrayRef{0});
        if (over_ == "features") return {{"score", distance.to(at::kFloat)}};
        const auto& map = in["feature_map"];
        if (over_ == "map") {
            Tensors out{{"score", distance.to(at::kFloat)}};
            if (context.wants("map")) out.set("map", grad_cam(map, x, whitened, distance));
            return out;
        }
        const auto distances = distance.view({map.size(0), map.size(2), map.size(3)}).to(at::kFloat);
        return {{"score", distances.amax({1, 2})}, {"map", distances.unsqueeze(1)}};
    }

  private:
    /// One row a vector that has a distance, [N, D], double.
    Tensor vectors(const Tensors& in) const {
        const auto x = raw_vectors(in);
        return unit_length_ ? x / length(x) : x;
    }

    Tensor raw_vectors(const Tensors& in) const {
        if (over_ == "features") return in["features"].to(at::kDouble);
        const auto map = in["feature_map"].to(at::kDouble);
        if (over_ == "map") return map.mean({2, 3});
        return map.permute({0, 2, 3, 1}).reshape({-1, map.size(1)});
    }

    /// [N, 1]; of a vector of zeros, which stays one, not 0.
    static Tensor length(const Tensor& x) {
        return at::linalg_vector_norm(x, 2, at::IntArrayRef{1}, /*keepdim=*/true).clamp_min(1e-12);
    }

    /// map [B, D, h, w]; x [B, D], the vectors of its images, whitened [D, B] and distance [B] -> [B, 1, h, w].
    /// The gradient of the distance needs no backward pass: S^-1 (x - mean) / d, and through a division by the
    /// length r of the mean over positions, (g - x (x . g)) / r.
    Tensor grad_cam(const Tensor& map, const Tensor& x, const Tensor& whitened, const Tensor& distance) const {
        auto g = at::linalg_solve_triangular(factor_.t(), whitened, /*upper=*/true).t() /
                 distance.clamp_min(1e-12).unsqueeze(1);
        const auto exact = map.to(at::kDouble);
        if (unit_length_) g = (g - x * (x * g).sum(1, true)) / length(exact.mean({2, 3}));
        const auto positions = static_cast<double>(map.size(2) * map.size(3));
        return at::einsum("bd,bdhw->bhw", {g, exact}).div(positions).relu().unsqueeze(1).to(at::kFloat);
    }

    /// Into a buffer that had another size: the module and its user hold the same tensor.
    static void keep(Tensor& buffer, const Tensor& value) { buffer.resize_(value.sizes()).copy_(value); }

    std::string over_;
    bool unit_length_, shrink_;
    Tensor mean_, factor_, rows_, shrinkage_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "gaussian-density",
                          .version = "0.1.0",
                          .summary = "Distance from a Gaussian that is fitted to the training set's features",
                          .paper = "https://arxiv.org/abs/2104.04015"}),
              component<GaussianDensity>("features -> Mahalanobis distance from those of the training set"))
