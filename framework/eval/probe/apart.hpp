// What is fitted on has to be apart from what is tested on: the same films or patients on both sides make a
// result that says nothing about new films.
#pragma once

#include "data/overlap.hpp"
#include "eval/probe/features.hpp"

namespace hearth::eval {

/// Compares the test rows of a section with all that must not hold them: the rows that a probe is fitted on or
/// a threshold is chosen on, and the images of [data] where the network learns from labels or masks. Throws
/// RecipeError with counts, examples and what to write where they have films or patients in common, unless the
/// section has overlap = true. What a result then has to say is returned: an overlap that was asked for, and
/// test images that the network was trained on without labels. `trained` are the images of [data] where they
/// are open already, else null.
std::vector<std::string> expect_apart(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                      const LabelledSet& train, const LabelledSet& test,
                                      const data::Dataset* trained = nullptr);

/// The same for a pool that is divided into folds by patient: films that are in it under two patients are
/// refused.
std::vector<std::string> expect_folds_apart(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                            const LabelledSet& pool, const data::Dataset* trained = nullptr);

/// The same for [detect]: normal images, validation images (or null) and all images of [data] against those
/// tested.
std::vector<std::string> expect_detection_apart(const recipe::Recipe& recipe, const LabelledSet& normal,
                                                const LabelledSet* validation, const LabelledSet& test,
                                                const data::Dataset* trained = nullptr);

/// Images of a section, to be compared with others.
data::Part part_of_section(const data::Dataset& images, const recipe::LabelledSpec& spec);
data::Part part_of_section(const data::Dataset& images, const recipe::DataSpec& spec);

/// Images that are trained or tested on, and whose they are: "the rows that [eval] tests on".
struct Taken {
    data::Part part;
    std::string whose;
};

/// The same for the rows of [validate] and all that they must not hold.
std::vector<std::string> expect_validation_apart(const recipe::ValidateSpec& spec, const data::Part& rows,
                                                 const std::vector<Taken>& taken);

/// That the checkpoint `best` was chosen on rows that this section tests on; "" where it was chosen on others.
std::string chosen_on_test(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                           const data::Dataset& test);

}  // namespace hearth::eval
