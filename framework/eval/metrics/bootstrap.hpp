// Gives confidence intervals by resampling patients, not images: images of one patient are alike, and treating
// them as independent makes every interval too narrow. They are percentile intervals (Efron and Tibshirani, An
// Introduction to the Bootstrap, chapter 13). The same seed gives the same interval on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace hearth::eval {

/// A statistic of some rows, which may repeat; NaN where it has no value (for an AUC: only one class was
/// drawn).
using Statistic = std::function<double(std::span<const std::size_t> rows)>;

/// Of fewer patients a bootstrap says more than is known.
inline constexpr std::size_t least_patients = 10;
/// Where more of the resamples have no value, those that have one are no fair picture: a class has too few
/// patients to be in every resample. With fewer than four patients of many that is so.
inline constexpr double most_dropped = 0.03;

/// `value` is the statistic of all rows once. Resamples without a value are left out and counted in `dropped`;
/// `low` and `high` are NaN with fewer than least_patients patients, which are not resampled, and where more
/// than most_dropped of the resamples have no value.
struct Interval {
    double value;
    double low;
    double high;
    std::size_t used;
    std::size_t dropped;
    std::size_t patients = 0;  ///< 0: not known
};

/// An interval of the difference a - b and its two-sided p value, 2 min(P(d <= 0), P(d >= 0)) with one added to
/// each count so that it is never 0; its smallest value is 2 / (used + 1). NaN where there is no interval.
struct PairedInterval : Interval {
    double p_value;

    /// Whether the interval lies above 0; false where there is none.
    bool above() const { return low > 0; }
};

/// Why a value has no interval, in a table's few columns: "3 patients", "rare class" (missing from too many
/// resamples); "" where it has one, where there is no value either, and where the reason is not known.
std::string no_interval(const Interval& interval);

/// "0.654  [0.590, 0.711]" with `gap` after the value, "0.654 no interval: 3 patients", or "undefined"; with
/// `sign` "+0.654".
std::string interval_text(const Interval& interval, bool sign = false, const std::string& gap = "  ");

struct BootstrapOptions {
    std::size_t resamples = 2000;
    std::uint64_t seed = 0;
    double level = 0.95;  ///< the interval's coverage, in (0, 1)
};
/// Of every result that is printed or written.
inline constexpr BootstrapOptions resampling = {};

/// Draws as many patients as there are, with replacement, and takes all rows of each. `groups` holds a patient
/// id per row.
///
///     const auto interval = bootstrap(patient_ids, ResampledAuc(scores, positive), {.seed = 1});
Interval bootstrap(std::span<const int> groups, const Statistic& statistic,
                   const BootstrapOptions& options = {});

/// The same for the difference of two models' statistics on the same resamples, which is narrower than two
/// separate intervals suggest, because both models find the same patients hard.
PairedInterval paired_bootstrap(std::span<const int> groups, const Statistic& a, const Statistic& b,
                                const BootstrapOptions& options = {});

/// A statistic of all rows once and of each resample. Of the same groups and options all statistics see the
/// same resamples, so that one of them can be compared with several without being computed again.
struct Resampled {
    double value;
    std::vector<double> values;  ///< NaN where there is none; empty with fewer than least_patients patients
    std::size_t patients;
    BootstrapOptions options;
};
Resampled resample(std::span<const int> groups, const Statistic& statistic,
                   const BootstrapOptions& options = {});
/// What paired_bootstrap() says of two statistics. Throws DataError where they were not resampled alike.
PairedInterval paired_difference(const Resampled& a, const Resampled& b);

/// The AUC of resampled rows in O(N): the scores are sorted once, a resample only changes how often each row
/// counts. A Statistic. Not for two threads at once; copy it instead.
class ResampledAuc {
  public:
    ResampledAuc(std::span<const double> scores, std::span<const int> positive);

    double operator()(std::span<const std::size_t> rows);

  private:
    std::vector<std::uint32_t> rank_;     // of each row, by rising score
    std::vector<std::uint8_t> positive_;  // by rank
    std::vector<std::uint8_t> tied_;      // by rank: 1 when the score equals the one below
    std::vector<std::uint32_t> count_;    // by rank, how often drawn: scratch
};

}  // namespace hearth::eval
