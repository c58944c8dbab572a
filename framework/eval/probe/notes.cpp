#include "eval/probe/notes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "eval/probe/apart.hpp"

namespace hearth::eval {
namespace {

std::string unseen_note(const Labels& labels) {
    std::int64_t images = 0;
    std::vector<std::string> classes;
    for (const auto& [name, count] : labels.unseen) {
        images += count;
        classes.push_back(fmt::format("{} {}", name, count));
    }
    return fmt::format("{} of {} test images are left out, being of a class that no training row has: {}",
                       images, labels.patients.size(), join(classes));
}

}  // namespace

std::vector<std::string> notes_on_rows(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                       const LabelledSet& test) {
    auto out = test.notes;
    if (auto note = chosen_on_test(recipe, spec, *test.images); !note.empty()) out.push_back(std::move(note));
    if (!test.labels.unseen.empty()) out.push_back(unseen_note(test.labels));
    if (!spec.mask.empty()) return out;  // a segmentation has no AUC
    const auto absent = notes_on_absent(test.labels, "there is no AUC");
    out.insert(out.end(), absent.begin(), absent.end());
    return out;
}

std::vector<std::string> notes_on_absent(const Labels& test, const std::string& so) {
    std::vector<std::string> out;
    if (test.several) return out;  // each label says by itself that it has no AUC
    for (std::size_t c = 0; c < test.classes.size(); ++c)
        if (std::ranges::find(test.of, static_cast<int>(c)) == test.of.end())
            out.push_back(fmt::format("no test image is of class '{}', so {}", test.classes[c], so));
    return out;
}

}  // namespace hearth::eval
