// The images of a data set get their classes from columns of its manifest.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace hearth::data {

/// Which columns hold what. With `positive` the task is binary (1 = positive), else every value of the column
/// is a class, and a column of 0, 1 and -1 has the classes 0 and 1. Several columns, "Edema, Effusion", are
/// several labels that may hold at once: 1 or 0, "-1" (uncertain, as CheXpert's labeller writes it) or empty.
/// Cells are compared by key(); names and values that hold a comma stand in double quotes.
struct LabelRule {
    std::string label = "label";
    std::string positive;  ///< value, or values separated by commas
    std::string negative;  ///< "" = all others
    std::string patient = "patient";
    /// What -1 counts as: nothing, "zeros": 0 or negative, "ones": 1 or positive. In a column with numbers
    /// other than 0, 1 and -1, and where `positive` or `negative` names it, -1 is a value as any other: a
    /// recipe that writes zeros or ones is refused there.
    std::string uncertain = "ignore";
    std::string blank = "ignore";                    ///< what an empty cell counts as: nothing, or "zeros"
    std::string where;                               ///< the place of the recipe that says so, for errors
    std::map<std::string, std::string> places = {};  ///< of single keys of it
    std::string section = {};                        ///< "data" where it is [data]; it names keys in errors

    const std::string& place(const std::string& key) const;
};

struct Labels {
    std::vector<std::string> classes;  ///< binary: {"negative", "positive"} as they read in the data
    bool several = false;              ///< each class holds or not by itself
    /// By image: its class, -1: no label. Where there are several, by image and class: 1, 0, or -1: unknown.
    std::vector<int> of;
    std::vector<int> patients;  ///< by image; an image without one is its own patient
    /// Values of the column that are none of the classes asked for, and how many images have them: no label.
    std::map<std::string, std::int64_t> unseen = {};
    std::vector<std::string> notes = {};  ///< what the user should know of the column, a sentence each

    /// How many labels an image has: as many as classes where there are several, else 1.
    std::size_t width() const { return several ? classes.size() : 1; }
    /// Those of an image.
    std::span<const int> row(std::int64_t image) const {
        return std::span(of).subspan(static_cast<std::size_t>(image) * width(), width());
    }
    /// The class of an image, "" without one; of several those that it has, "none" where it has none.
    std::string name(std::int64_t image) const;
    /// By image, what fractions and folds keep in proportion: its class + 1 (0: no label); of several the
    /// rarest that it has, numbered from the most frequent (1) to the rarest, 0: none of them.
    std::vector<int> strata() const;
};

/// Reads labels. `classes` of the training split are passed for another split, so that both number them alike;
/// empty = find them, each with an image. Throws RecipeError for a column or value that is not there, and for
/// values of different classes that differ only in capitals or blanks.
Labels read_labels(const Dataset& dataset, const LabelRule& rule, const std::vector<std::string>& classes = {});

/// Throws RecipeError where the recipe names a column of patients that is not there: without one nobody is
/// kept apart. That of the default may be missing, and "" says that there is none.
void expect_patients(const Dataset& images, const LabelRule& rule);

/// Where that of the default is missing and another column is most likely meant: that column and the key to
/// write, a sentence. Otherwise "".
std::string note_on_patients(const Dataset& images, const LabelRule& rule);

/// Throws RecipeError where values of a column differ only in capitals or blanks; `place` is that of the key
/// that names it.
void expect_one_spelling(const Dataset& images, const std::string& column, const std::string& place);

/// The labels of these images; their classes stay, also those that no image is left of.
Labels rows_of(const Labels& labels, const std::vector<std::int64_t>& rows);

}  // namespace hearth::data
