#include "images/import/split.hpp"

#include <algorithm>
#include <array>
#include <hearth/error.hpp>
#include <map>

#include "base/splitmix.hpp"

namespace hearth::images {
namespace {

struct Patient {
    std::vector<std::size_t> films;
    std::string stratum;
};

bool has_label(const Film& film) {
    return std::any_of(film.labels.begin(), film.labels.end(),
                       [](const std::string& cell) { return !cell.empty(); });
}

/// "column=value" of a label that says something is there; empty otherwise.
std::string statement(const Imported& set, const Film& film, std::size_t label) {
    const std::string& cell = film.labels[label];
    return cell.empty() || cell == "0" || cell == "-1" ? "" : set.labels[label] + "=" + cell;
}

/// Patients with the rarest statement of their films, sorted by name; a film without patient is one of its own.
std::vector<Patient> patients_of(const Imported& set, const std::vector<std::size_t>& films) {
    std::map<std::string, std::size_t> frequency;
    for (const std::size_t f : films) {
        for (std::size_t i = 0; i < set.labels.size(); ++i) ++frequency[statement(set, set.films[f], i)];
    }
    frequency[""] = set.films.size() * (set.labels.size() + 1);
    std::map<std::string, Patient> patients;
    for (const std::size_t f : films) {
        const Film& film = set.films[f];
        Patient& patient = patients[film.patient.empty() ? film.file.string() : film.patient];
        patient.films.push_back(f);
        for (std::size_t i = 0; i < set.labels.size(); ++i) {
            const std::string word = statement(set, film, i);
            if (frequency[word] < frequency[patient.stratum]) patient.stratum = word;
        }
    }
    std::vector<Patient> sorted;
    for (auto& [name, patient] : patients) sorted.push_back(std::move(patient));
    return sorted;
}

/// Lines up the patients of each stratum in random order and cuts the line of their films at the shares. Which
/// part a patient comes to does not depend on how many films it has.
template <std::size_t Parts>
void deal(Imported& set, const std::vector<Patient>& patients, const std::array<const char*, Parts>& names,
          const std::array<double, Parts>& shares, std::uint64_t seed) {
    std::map<std::string, std::vector<const Patient*>> strata;
    for (const Patient& patient : patients) strata[patient.stratum].push_back(&patient);
    std::uint64_t stream = 0;
    for (auto& [name, members] : strata) {
        base::SplitMix random(seed, ++stream);
        double total = 0, passed = 0;
        for (std::size_t i = members.size(); i-- > 0;) {
            std::swap(members[i], members[static_cast<std::size_t>(random.index(static_cast<int>(i + 1)))]);
            total += static_cast<double>(members[i]->films.size());
        }
        for (const Patient* patient : members) {
            const auto films = static_cast<double>(patient->films.size());
            double rest = (passed + films / 2) / total;  // the place of the patient's middle
            std::size_t part = 0;
            while (part + 1 < Parts && rest >= shares[part]) rest -= shares[part++];
            for (const std::size_t film : patient->films) set.films[film].split = names[part];
            passed += films;
        }
    }
}

}  // namespace

void split_by_patient(Imported& set, const SplitShares& shares, std::uint64_t seed) {
    const bool any_label = std::any_of(set.films.begin(), set.films.end(), has_label);
    std::vector<std::size_t> films;
    for (std::size_t f = 0; f < set.films.size(); ++f) {
        set.films[f].split.clear();
        if (!any_label || has_label(set.films[f])) films.push_back(f);
    }
    deal<3>(set, patients_of(set, films), {"train", "val", "test"},
            {1 - shares.val - shares.test, shares.val, shares.test}, seed);
}

void hold_out_val(Imported& set, double share, std::uint64_t seed) {
    std::vector<std::size_t> films;
    for (std::size_t f = 0; f < set.films.size(); ++f) {
        if (set.films[f].split == "train") films.push_back(f);
        if (set.films[f].split == "val")
            throw DataError(
                "found films in the split 'val' already; expected none where --val holds some out; use "
                "--split patient for a split of your own");
    }
    deal<2>(set, patients_of(set, films), {"train", "val"}, {1 - share, share}, seed);
}

}  // namespace hearth::images
