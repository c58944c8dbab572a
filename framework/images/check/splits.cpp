// Checks splits and the patients in them.
#include <map>
#include <set>

#include "images/check/manifest_check.hpp"

namespace hearth::images {
namespace {

void check_leakage(const Manifest& manifest, ManifestCheck& check) {
    std::map<std::string, std::map<std::string, std::size_t>> splits_of;
    std::map<std::string, std::string> written;  // the key of "007" is 7
    for (const Row& row : manifest.rows) {
        if (row.patient.empty() || row.split.empty()) continue;
        ++splits_of[row.patient][row.split];
        written.emplace(row.patient, row.cells[manifest.column("patient")]);
    }
    Finding finding{Weight::warning, "leakage", "Patients have images in more than one split.", 0};
    for (const auto& [patient, splits] : splits_of) {
        if (splits.size() < 2) continue;
        ++finding.count;
        if (finding.examples.size() == most_examples) continue;
        std::string example = written.at(patient) + ":";
        for (const auto& [split, count] : splits) example += " " + split + " (" + std::to_string(count) + ")";
        finding.examples.push_back(example);
    }
    if (finding.count > 0) check.findings.push_back(std::move(finding));
}

}  // namespace

void check_splits(const Manifest& manifest, ManifestCheck& check) {
    if (!manifest.has("split")) return;
    std::map<std::string, std::size_t> splits;
    std::size_t without_patient = 0;
    for (const Row& row : manifest.rows) {
        ++splits[row.split];
        without_patient += row.patient.empty() ? 1 : 0;
    }
    if (const std::size_t none = splits[""]; none > 0)
        check.findings.push_back({Weight::note, "no-split", "Images belong to no split.", none});
    splits.erase("");
    for (const std::string usual : {"train", "test"}) {
        if (splits.count(usual) == 0)
            check.findings.push_back(
                {Weight::warning, "empty-split", "There is no image in the split '" + usual + "'.", 0});
    }
    if (without_patient > 0 && splits.size() > 1)
        check.findings.push_back({Weight::note, "no-patient",
                                  "Images without a patient: whether splits share patients cannot be told.",
                                  without_patient});
    check_leakage(manifest, check);
}

}  // namespace hearth::images
