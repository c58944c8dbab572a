// Says what a reader has to know of the rows of a result before its numbers are trusted.
#pragma once

#include "eval/probe/features.hpp"

namespace hearth::eval {

/// What is known before an image is read: the notes of the test rows, that `best` is chosen on them, test
/// images of classes that no training row has, and classes that no test image has.
std::vector<std::string> notes_on_rows(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                       const LabelledSet& test);

/// A note for each class that no test image has: `so` is what comes of it.
std::vector<std::string> notes_on_absent(const Labels& test, const std::string& so);

}  // namespace hearth::eval
