// Importers turn a data set's own distribution, as it is unpacked, into a manifest: one file per data set, one
// table of them all. An importer reads tables and file names; it opens an image only where the set hides
// something in it (DICOM headers).
//
//     images::ImportRequest request{.folder = "CheXpert-v1.0-small"};
//     images::Imported set = images::find_importer("chexpert").read(request);
//     images::keep_views(set, {"frontal"});
//     images::write_manifest(set, "chexpert.csv");
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::images {

/// One image. What is not known is empty; a column that is empty for every film is not written.
struct Film {
    std::filesystem::path file = {};
    std::string patient = {};
    std::string study = {};
    std::string view = {};                 ///< frontal, lateral or other
    std::string projection = {};           ///< as the set writes it: PA, AP, LL, ...
    std::string sex = {};                  ///< F, M or O
    std::string age = {};                  ///< years
    std::vector<std::string> labels = {};  ///< one for each of Imported::labels
    std::string mask = {};                 ///< see images/mask.hpp
    std::string boxes = {};                ///< "x y width height; ..." in pixels, or "none"
    std::string split = {};                ///< train, val, test
};

struct Imported {
    std::vector<std::string> labels;  ///< names of the label columns
    std::vector<Film> films;
    std::vector<std::string> notes = {};  ///< what the user should know, one sentence each
    bool boxes_of_some = false;           ///< a film without boxes may show what others have boxes of
};

/// What becomes of labels that the set calls uncertain (-1).
enum class Uncertain {
    ignore,  ///< not known: an empty cell
    zeros,   ///< 0
    ones,    ///< 1
    keep,    ///< -1, for a recipe to decide
};

struct ImportRequest {
    std::filesystem::path folder;
    Uncertain uncertain = Uncertain::ignore;
    bool partial = false;              ///< leave out films whose file is not there, instead of an error
    std::string patient_pattern = {};  ///< `folder` only: a regular expression whose first group is the patient
};

struct Importer {
    std::string_view kind, title;
    std::string_view access;  ///< licence and registration, in a few words
    bool has_uncertain = false;
    bool has_split = false;  ///< the set comes with a split of its own
    /// Throws DataError that says what was found, what was expected and where.
    Imported (*read)(const ImportRequest&);
};

/// Every importer, in the order in which they are listed.
std::span<const Importer> importers();

/// Throws RecipeError with the nearest kind.
const Importer& find_importer(const std::string& kind);

/// Keeps films whose view or projection is among `wanted`; a note counts the others by view, those of unknown
/// view among them. Throws DataError that counts the views found when none is.
void keep_views(Imported& set, const std::vector<std::string>& wanted);

/// Ages that are none from 0 to 120 years, as NIH's tables and the films made of them have, count as not known; a
/// note counts them among the films that are kept.
void forget_impossible_ages(Imported& set);

/// With `boxes_of_some` a note counts the films that have boxes: those that are kept.
void note_boxes(Imported& set);

/// The manifest's text, with paths relative to `folder` (absolute for files on another root).
std::string manifest_text(const Imported& set, const std::filesystem::path& folder);

/// Writes manifest_text() and makes the folders above it. Throws DataError when it exists or cannot be written.
void write_manifest(const Imported& set, const std::filesystem::path& file);

Imported import_mimic_cxr_jpg(const ImportRequest& request);
Imported import_nih_cxr14(const ImportRequest& request);
Imported import_chexpert(const ImportRequest& request);
Imported import_childcxr(const ImportRequest& request);
Imported import_siim_acr(const ImportRequest& request);
Imported import_rsna(const ImportRequest& request);
Imported import_folder(const ImportRequest& request);

}  // namespace hearth::images
