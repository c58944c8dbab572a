// hearth data import turns a data set's own distribution into a manifest.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "base/activity.hpp"
#include "base/counted.hpp"
#include "base/json_text.hpp"
#include "cli/data.hpp"
#include "images/check/manifest_check.hpp"
#include "images/import/import.hpp"
#include "images/import/split.hpp"

namespace hearth::cli {
namespace {

using nlohmann::json;

struct ImportFlags {
    std::string kind, folder, views, uncertain, split, patient;
    double val = -1, test = -1;
    bool partial = false;
};

images::Uncertain uncertain_of(const std::string& word) {
    if (word == "zeros") return images::Uncertain::zeros;
    if (word == "ones") return images::Uncertain::ones;
    return word == "keep" ? images::Uncertain::keep : images::Uncertain::ignore;
}

void check_flags(const ImportFlags& flags, const images::Importer& importer, const Globals& globals) {
    if (globals.out.empty())
        throw RecipeError("found no --out, expected the manifest to write: --out chests.csv");
    if (std::filesystem::exists(globals.out))
        throw RecipeError(globals.out + " exists already; choose another --out or remove it");
    if (!flags.uncertain.empty() && !importer.has_uncertain)
        throw RecipeError(
            fmt::format("found --uncertain for {}, which has no uncertain labels; leave it out", flags.kind));
    if (!flags.patient.empty() && flags.kind != "folder")
        throw RecipeError(
            fmt::format("found --patient for {}, which tells patients itself; leave it out", flags.kind));
    if (flags.split == "official" && !importer.has_split)
        throw RecipeError(fmt::format(
            "found --split official for {}, which comes without one; expected patient or none", flags.kind));
    if (flags.test >= 0 && flags.split != "patient" && importer.has_split)
        throw RecipeError("found --test, expected it with --split patient only");
    if (std::max(flags.val, 0.0) + std::max(flags.test, 0.0) >= 1)
        throw RecipeError("found --val and --test that leave nothing to train on, expected less than 1 in all");
}

/// The split that is meant: the set's own, one by patient where it has none but patients, or none at all.
std::string split_rule(const ImportFlags& flags, const images::Imported& set) {
    const auto any = [&set](auto member) {
        return std::any_of(set.films.begin(), set.films.end(),
                           [member](const images::Film& film) { return !(film.*member).empty(); });
    };
    const bool official = any(&images::Film::split);
    if (flags.split == "official" && !official)
        throw DataError(flags.folder + ": found no split in it; expected --split patient or none");
    if (!flags.split.empty()) return flags.split;
    return official ? "official" : any(&images::Film::patient) ? "patient" : "none";
}

void apply_split(const ImportFlags& flags, images::Imported& set, std::uint64_t seed) {
    const std::string rule = split_rule(flags, set);
    if (rule == "none") {
        for (auto& film : set.films) film.split.clear();
    } else if (rule == "patient") {
        images::SplitShares shares;
        if (flags.val >= 0) shares.val = flags.val;
        if (flags.test >= 0) shares.test = flags.test;
        images::split_by_patient(set, shares, seed);
        set.notes.push_back(
            fmt::format("Split by patient, classes in proportion, seed {}: {:g} % val, {:g} % test.", seed,
                        100 * shares.val, 100 * shares.test));
    } else if (flags.val > 0) {
        images::hold_out_val(set, flags.val, seed);
        set.notes.push_back(fmt::format("{:g} % of the training patients are held out as val, seed {}.",
                                        100 * flags.val, seed));
    }
}

/// Patients that the split divides, in words.
void note_leakage(const std::filesystem::path& file, images::Imported& set) {
    images::ManifestCheck check;
    images::check_splits(images::read_manifest(file), check);
    for (const auto& finding : check.findings)
        if (finding.kind == "leakage")
            set.notes.push_back(
                fmt::format("{} patients are in more than one split (such as {}); --split patient keeps "
                            "them together.",
                            finding.count, finding.examples.front()));
}

void print(const images::Imported& set, const Globals& globals) {
    std::map<std::string, std::size_t> splits;
    std::map<std::string, std::map<std::string, std::size_t>> labels;
    for (const auto& film : set.films) {
        ++splits[film.split];
        for (std::size_t i = 0; i < set.labels.size(); ++i) ++labels[set.labels[i]][film.labels[i]];
    }
    if (globals.json) {
        base::print_json(json({{"manifest", globals.out},
                               {"images", set.films.size()},
                               {"splits", splits},
                               {"labels", labels},
                               {"notes", set.notes}}),
                         2);
        return;
    }
    fmt::print("{}: {}\n", globals.out, base::counted(std::ssize(set.films), "image"));
    for (const auto& [split, count] : splits)
        fmt::print("  {:<11} {}\n", split.empty() ? "(no split)" : split, count);
    for (const auto& [label, values] : labels) {
        std::vector<std::string> words;
        for (const auto& [value, count] : values)
            words.push_back(fmt::format("{} ({})", value.empty() ? "not known" : value, count));
        fmt::print("  {}: {}\n", label, join(words));
    }
    for (const auto& note : set.notes) fmt::print("{}\n", note);
}

void import_set(const ImportFlags& flags, const Globals& globals) {
    const auto& importer = images::find_importer(flags.kind);
    check_flags(flags, importer, globals);
    auto set = base::during(globals.quiet, "reading " + flags.folder, [&] {
        return importer.read({.folder = flags.folder,
                              .uncertain = uncertain_of(flags.uncertain),
                              .partial = flags.partial,
                              .patient_pattern = flags.patient});
    });
    if (!flags.views.empty()) images::keep_views(set, CLI::detail::split(flags.views, ','));
    images::forget_impossible_ages(set);
    images::note_boxes(set);
    apply_split(flags, set, globals.seed < 0 ? 0 : static_cast<std::uint64_t>(globals.seed));
    images::write_manifest(set, globals.out);
    note_leakage(globals.out, set);
    print(set, globals);
}

std::string list_of_importers() {
    std::string text = "Data sets:\n";
    for (const auto& importer : images::importers())
        text += fmt::format("  {:<14} {} ({})\n", importer.kind, importer.title, importer.access);
    return text;
}

}  // namespace

void add_data_import(CLI::App& data, Globals& globals) {
    auto flags = std::make_shared<ImportFlags>();
    auto* verb = data.add_subcommand("import", "Write a manifest for a public data set as it was unpacked");
    verb->add_option("kind", flags->kind, "Which data set; see below")->required();
    verb->add_option("folder", flags->folder, "Where it was unpacked to")->required();
    verb->add_option("--view", flags->views,
                     "Only these: frontal, lateral, other, or projections such as PA,AP");
    verb->add_option("--uncertain", flags->uncertain,
                     "Uncertain labels: ignore (empty cell, the default), zeros, ones, keep (-1)")
        ->check(CLI::IsMember({"ignore", "zeros", "ones", "keep"}));
    verb->add_option("--split", flags->split, "official, patient (by patient, classes in proportion) or none")
        ->check(CLI::IsMember({"official", "patient", "none"}));
    verb->add_option("--val", flags->val,
                     "Share for val: 0.1 with --split patient; else taken from the training patients")
        ->check(CLI::Range(0.0, 0.9));
    verb->add_option("--test", flags->test, "Share for test with --split patient, 0.2 if not given")
        ->check(CLI::Range(0.0, 0.9));
    verb->add_flag("--partial", flags->partial, "Leave out images that are listed but not there");
    verb->add_option("--patient", flags->patient, "folder only: regular expression whose group is the patient");
    verb->footer(
        list_of_importers() +
        "\nWithout --split: the set's own; by patient where it has none but tells patients.\n\n"
        "Examples:\n  hearth data import mimic-cxr-jpg mimic-cxr-jpg-2.1.0 --view frontal --out mimic.csv\n"
        "  hearth data import childcxr chest_xray --split patient --seed 1 --out child.csv\n"
        "  hearth data import nih-cxr14 CXR8 --val 0.1 --out nih.csv\n"
        "  hearth data import folder scans --patient '(P[0-9]+)_' --out scans.csv");
    verb->callback([flags, &globals] { import_set(*flags, globals); });
}

}  // namespace hearth::cli
