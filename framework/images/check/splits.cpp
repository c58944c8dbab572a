// Checks splits and the patients in them.
#include <map>
#include <set>

#include "images/cell.hpp"
#include "images/check/manifest_check.hpp"

namespace hearth::images {
namespace {

/// A column by its usual name, or by one that is most likely meant so.
class Named {
  public:
    Named(const Manifest& manifest, const std::string& usual)
        : usual_(manifest.has(usual)), name_(usual_ ? usual : column_like(usual, manifest.columns)) {
        if (!name_.empty()) index_ = manifest.column(name_);
    }
    bool is_there() const { return !name_.empty(); }
    bool has_usual_name() const { return usual_; }
    const std::string& name() const { return name_; }
    std::string written(const Row& row) const { return is_there() ? row.cells[index_] : ""; }
    std::string of(const Row& row) const { return key(written(row)); }

  private:
    bool usual_;
    std::string name_;  ///< "" = there is none
    std::size_t index_ = 0;
};

void check_leakage(const Manifest& manifest, const Named& patient, const Named& split, ManifestCheck& check) {
    std::map<std::string, std::map<std::string, std::size_t>> splits_of;
    std::map<std::string, std::string> written;  // the key of "007" is 7
    for (const Row& row : manifest.rows) {
        const std::string who = patient.of(row), where = split.of(row);
        if (who.empty() || where.empty()) continue;
        ++splits_of[who][where];
        written.emplace(who, patient.written(row));
    }
    Finding finding{Weight::warning, "leakage", "Patients have images in more than one split.", 0};
    for (const auto& [who, splits] : splits_of) {
        if (splits.size() < 2) continue;
        ++finding.count;
        if (finding.examples.size() == most_examples) continue;
        std::string example = written.at(who) + ":";
        for (const auto& [name, count] : splits) example += " " + name + " (" + std::to_string(count) + ")";
        finding.examples.push_back(example);
    }
    if (finding.count > 0) check.findings.push_back(std::move(finding));
}

/// A table without a column of the usual name.
void note_columns(const Named& patient, const Named& split, ManifestCheck& check) {
    if (!patient.has_usual_name()) {
        std::string text = "There is no column 'patient': every image counts as a patient of its own";
        if (patient.is_there())
            text += "; if '" + patient.name() + "' tells patients apart, write patient = \"" + patient.name() +
                    "\" in a recipe's sections, as `hearth data recipe` does";
        check.findings.push_back({Weight::note, "no-patient", text + ".", 0});
    }
    if (!split.has_usual_name()) {
        std::string text = "There is no column 'split'";
        if (split.is_there())
            text += "; if '" + split.name() + "' divides the images, filters have to name it so";
        check.findings.push_back({Weight::note, "no-split", text + ".", 0});
    }
}

}  // namespace

void check_splits(const Manifest& manifest, ManifestCheck& check) {
    if (manifest.rows.empty() || manifest.rows.front().line == 0) return;  // a folder has neither
    const Named patient(manifest, "patient"), split(manifest, "split");
    note_columns(patient, split, check);
    if (!split.is_there()) return;
    std::map<std::string, std::size_t> splits;
    std::size_t without_patient = 0;
    for (const Row& row : manifest.rows) {
        ++splits[split.of(row)];
        without_patient += patient.of(row).empty() ? 1 : 0;
    }
    if (const std::size_t none = splits[""]; none > 0)
        check.findings.push_back({Weight::note, "no-split", "Images belong to no split.", none});
    splits.erase("");
    for (const std::string usual : {"train", "test"}) {
        if (splits.count(usual) == 0)
            check.findings.push_back(
                {Weight::warning, "empty-split", "There is no image in the split '" + usual + "'.", 0});
    }
    if (patient.is_there() && without_patient > 0 && splits.size() > 1)
        check.findings.push_back({Weight::note, "no-patient",
                                  "Images without a patient: whether splits share patients cannot be told.",
                                  without_patient});
    check_leakage(manifest, patient, split, check);
}

}  // namespace hearth::images
