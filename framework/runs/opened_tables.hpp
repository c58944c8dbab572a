// The tables of images that a recipe names are opened before anything is trained: what is wrong with them
// shows now, not after a night.
#pragma once

#include <optional>
#include <utility>

#include "eval/anomaly/images.hpp"
#include "plan/plan.hpp"
#include "recipe/opens.hpp"
#include "report/text.hpp"
#include "train/training_data.hpp"

namespace hearth::runs {

/// By section; nothing where the recipe has none or it was not asked for.
struct Tables {
    std::optional<train::TrainingData> data;
    /// Training and test rows; those of folds as eval::open_evaluated() says, unless a probe while training
    /// takes one of them.
    std::optional<std::pair<eval::LabelledSet, eval::LabelledSet>> probe, eval;
    std::optional<eval::AnomalyImages> detect;
    /// The rows of [validate], with [data]; `notes` say what of them is trained or tested on.
    std::optional<train::TrainingData> validate;
};

/// Opens the tables of these sections by the code that trains and evaluates on them: files, filters, columns
/// and classes; of each table one image is read. The rows of [validate] are opened with [data], and with the
/// section that measures what is watched; they are refused where they are trained on, or tested on by a section
/// that is opened too (eval::expect_validation_apart). Throws what is wrong with all sections at once, and with
/// components and wiring; the exit code is that of the first mistake.
Tables open_tables(const recipe::Recipe& recipe, const host::Registry& registry, const recipe::Opens& opens);

/// What a process that is not the first of its run opens of them: the rows of a probe while training, which the first
/// has checked.
Tables open_tables_beside(const recipe::Recipe& recipe, const recipe::Opens& opens);

/// How many images, patients and images of each class each part of them has.
report::Table table_of(const Tables& tables, const recipe::Recipe& recipe);

/// Whether the networks can do what [probe], [eval] and [detect] ask for; opens no data. `plan` is on the CPU
/// and in evaluation mode. Throws RecipeError.
void check_readable(const recipe::Recipe& recipe, const plan::Plan& plan);
/// The same, and whether the tables fit them: those of [eval], or where the recipe has none of [probe], are
/// what a run is evaluated on when `evaluates`.
void check_fit(const Tables& tables, const recipe::Recipe& recipe, const plan::Plan& plan, bool evaluates);

/// What a reader has to know of the rows that a run is evaluated on, eval::notes_on_rows, and of a class that
/// the probe while training lacks.
std::vector<std::string> notes_on(const Tables& tables, const recipe::Recipe& recipe);

}  // namespace hearth::runs
