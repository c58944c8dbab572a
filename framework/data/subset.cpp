#include "data/subset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/error.hpp>
#include <hearth/random.hpp>
#include <map>
#include <numeric>

#include "images/cell.hpp"

namespace hearth::data {
namespace {

constexpr double most_over = 1.5;  // so many times a fraction is not that fraction any more

/// The patients of each stratum, shuffled; the strata in rising order.
std::vector<std::vector<int>> shuffled_patients(std::span<const int> strata, std::span<const int> patients,
                                                std::uint64_t seed) {
    std::map<int, int> stratum_of;
    for (std::size_t row = 0; row < patients.size(); ++row) {
        const auto [known, fresh] = stratum_of.emplace(patients[row], strata[row]);
        if (!fresh) known->second = std::max(known->second, strata[row]);
    }
    std::map<int, std::vector<int>> of_stratum;
    for (const auto& [patient, stratum] : stratum_of) of_stratum[stratum].push_back(patient);
    std::vector<std::vector<int>> out;
    for (auto& [stratum, list] : of_stratum) {
        Random random(
            {.seed = seed, .epoch = 0, .sample = static_cast<std::uint64_t>(out.size()), .stream = 0xF01D});
        for (auto i = static_cast<std::int64_t>(list.size()) - 1; i > 0; --i)
            std::swap(list[static_cast<std::size_t>(i)], list[static_cast<std::size_t>(random.integer(0, i))]);
        out.push_back(std::move(list));
    }
    return out;
}

class PartOfDataset : public Dataset {
  public:
    PartOfDataset(std::shared_ptr<const Dataset> whole, std::vector<std::int64_t> positions)
        : whole_(std::move(whole)), positions_(std::move(positions)) {}
    std::int64_t size() const override { return static_cast<std::int64_t>(positions_.size()); }
    cv::Mat load(std::int64_t index) const override { return whole_->load(at(index)); }
    std::string name(std::int64_t index) const override { return whole_->name(at(index)); }
    std::string note() const override { return whole_->note(); }
    std::vector<std::string> columns() const override { return whole_->columns(); }
    std::optional<std::string> cell(std::int64_t index, const std::string& column) const override {
        return whole_->cell(at(index), column);
    }
    std::optional<cv::Mat> mask(std::int64_t index, const std::string& column) const override {
        return whole_->mask(at(index), column);
    }
    std::string missing_mask(std::int64_t index, const std::string& column) const override {
        return whole_->missing_mask(at(index), column);
    }
    bool draws_masks() const override { return whole_->draws_masks(); }

  private:
    std::int64_t at(std::int64_t index) const { return positions_.at(static_cast<std::size_t>(index)); }
    std::shared_ptr<const Dataset> whole_;
    std::vector<std::int64_t> positions_;
};

}  // namespace

std::vector<int> patients_of(const Dataset& images, const std::string& column) {
    std::vector<int> out;
    std::map<std::string, int> ids;
    for (std::int64_t i = 0; i < images.size(); ++i) {
        auto patient = images::key(images.cell(i, column).value_or(""));
        if (patient.empty()) patient = "image " + std::to_string(i);
        out.push_back(ids.emplace(patient, static_cast<int>(ids.size())).first->second);
    }
    return out;
}

std::vector<std::int64_t> choose_fraction(std::span<const int> strata, std::span<const int> patients,
                                          double fraction, std::uint64_t seed, const std::string& place) {
    std::map<int, bool> chosen;
    double taken = 0;
    const auto lists = shuffled_patients(strata, patients, seed);
    for (const auto& list : lists) {
        // Less a rounding error, so that 10 % of 50 patients are 5 and not 6.
        const auto wanted = std::max(1.0, std::ceil(fraction * static_cast<double>(list.size()) - 1e-9));
        taken += std::min(wanted, static_cast<double>(list.size()));
        for (std::size_t i = 0; i < list.size(); ++i) chosen[list[i]] = static_cast<double>(i) < wanted;
    }
    const auto all = static_cast<double>(chosen.size());
    if (fraction < 1 && taken > most_over * fraction * all + 1e-9)
        throw DataError(fmt::format(
            "{}: found {:g} of {:g} patient{}, expected a share that whole patients can be, one "
            "of each class at least: the next is {:g} of them, {:.3g} %; write a larger fraction, or "
            "the column that tells patients apart (patient = \"COLUMN\")",
            place, fraction, all, all == 1 ? "" : "s", taken, 100 * taken / all));
    std::vector<std::int64_t> out;
    for (std::size_t row = 0; row < patients.size(); ++row)
        if (chosen[patients[row]]) out.push_back(static_cast<std::int64_t>(row));
    return out;
}

std::vector<int> assign_folds(std::span<const int> strata, std::span<const int> patients, int folds,
                              std::uint64_t seed, const std::string& place) {
    std::map<int, int> fold_of;
    for (const auto& list : shuffled_patients(strata, patients, seed))
        for (const auto patient : list) {
            const auto next = static_cast<int>(fold_of.size()) % folds;
            fold_of[patient] = next;
        }
    if (static_cast<int>(fold_of.size()) < folds)
        throw DataError(fmt::format("{}: found {} patients, expected at least one for each of {} folds", place,
                                    fold_of.size(), folds));
    std::vector<int> out;
    for (const auto patient : patients) out.push_back(fold_of[patient]);
    return out;
}

std::vector<std::int64_t> choose(std::span<const int> strata, std::span<const int> patients,
                                 const SubsetRule& rule) {
    std::vector<std::int64_t> rows(patients.size());
    std::iota(rows.begin(), rows.end(), std::int64_t{0});
    if (rule.folds > 0) {
        const auto folds = assign_folds(strata, patients, rule.folds, rule.seed, rule.folds_place);
        std::erase_if(rows, [&](std::int64_t row) {
            return (folds[static_cast<std::size_t>(row)] == rule.fold) != rule.held_out;
        });
    }
    if (rule.held_out || rule.fraction >= 1) return rows;
    std::vector<int> left_strata, left_patients;
    for (const auto row : rows) {
        left_strata.push_back(strata[static_cast<std::size_t>(row)]);
        left_patients.push_back(patients[static_cast<std::size_t>(row)]);
    }
    auto kept = choose_fraction(left_strata, left_patients, rule.fraction, rule.seed, rule.fraction_place);
    for (auto& row : kept) row = rows[static_cast<std::size_t>(row)];
    return kept;
}

std::shared_ptr<const Dataset> part_of(std::shared_ptr<const Dataset> whole,
                                       std::vector<std::int64_t> positions) {
    return std::make_shared<PartOfDataset>(std::move(whole), std::move(positions));
}

}  // namespace hearth::data
