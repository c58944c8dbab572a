// The monitor tells collapse from learning by three numbers of a batch's features and assignments, and raises
// an alarm when they stay low:
//   std      mean over dimensions of the standard deviation of L2-normalised features, times sqrt(D); 1 where
//            they are uniform on the sphere, 0 where they have collapsed
//   rank     effective rank, exp of the entropy of the normalised singular values (Roy & Vetterli 2007; RankMe,
//            Garrido et al. 2023)
//   entropy  entropy of the mean assignment over ln K; 1 where all clusters are used, 0 where one is
#pragma once

#include <ATen/core/Tensor.h>

#include <hearth/context.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan.hpp"
#include "recipe/recipe.hpp"

namespace hearth::train {

struct Health {
    double std = 0, rank = 0;
    double max_rank = 0;  ///< the highest rank that so many rows can have
    std::optional<double> entropy;
};

/// features [B, D] or [B, L, D] (tokens are taken together); assignments [.., K], rows are distributions, may
/// be undefined. Features that are not finite have no spread and no rank: both are NaN.
Health measure_health(const at::Tensor& features, const at::Tensor& assignments);
/// The same of the rows of all processes together: the first one measures and tells the others. Collective.
Health measure_health(const at::Tensor& features, const at::Tensor& assignments, const Comm& comm);

/// Names and values, as the log shows them.
using Terms = std::vector<std::pair<std::string, double>>;

class Monitor {
  public:
    explicit Monitor(recipe::MonitorSpec spec) : spec_(std::move(spec)) {}
    /// Takes one measurement, with the loss terms of the same steps; returns what is wrong once it has been
    /// wrong `patience` times in a row, else "". No health: only terms are judged. The rank is judged only
    /// where the rows could reach twice min_rank: two images never have more than one.
    std::string check(const std::optional<Health>& health, const Terms& terms = {});
    /// Throws RecipeError, with its place, for a rule of collapse_if whose term is not among `terms`, which are
    /// all of the recipe and "loss" (terms.hpp).
    void require(const std::vector<std::string>& terms) const;
    const recipe::MonitorSpec& spec() const { return spec_; }

  private:
    recipe::MonitorSpec spec_;
    std::int64_t low_ = 0;
};

/// A tensor with a value that is not finite, and who wrote it.
struct NotFinite {
    const plan::Node* node;
    std::string name;
};
/// All of them, in the order of the dataflow.
std::vector<NotFinite> not_finite(const plan::Plan& plan, const Tensors& tensors);

}  // namespace hearth::train
