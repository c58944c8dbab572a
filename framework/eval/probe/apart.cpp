#include "eval/probe/apart.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/repeated.hpp"
#include "data/requests.hpp"
#include "eval/probe/validated.hpp"

namespace hearth::eval {
namespace {

/// Tables of one folder name their patients alike, and so do generated images of one seed.
std::string place_of(const std::string& source, std::int64_t phantom_seed) {
    if (source == "phantom") return fmt::format("phantom {}", phantom_seed);
    const auto path = std::filesystem::absolute(source).lexically_normal();
    return (std::filesystem::is_directory(path) ? path : path.parent_path()).string();
}

/// The images of a section: LabelledSpec or DataSpec.
template <typename Spec>
data::Part part(const data::Dataset& images, const Spec& spec) {
    return {images, spec.patient, place_of(spec.source, spec.phantom_seed)};
}

/// The images that the network is trained on.
std::shared_ptr<const data::Dataset> trained_images(recipe::DataSpec spec) {
    spec.cache = "none";  // only their names and patients are asked for
    if (spec.fraction >= 1 && spec.folds == 0) spec.label.clear();
    return train::open_training_data(spec).images;
}

std::string sentence(const data::Overlap& overlap, const std::string& what) {
    return fmt::format("{} of {} {}: {}", overlap.images, overlap.of, what, overlap.text());
}

/// How the rows of a table without splits are tested all the same, where probes are.
std::string in_folds(const recipe::LabelledSpec& spec) {
    return spec.head.empty() && spec.written.count("normal_where") == 0 ? "; or " + std::string(folds_instead)
                                                                        : "";
}

/// One section's test rows against others, and what is to be said of them.
class Comparison {
  public:
    Comparison(const recipe::LabelledSpec& spec, const LabelledSet& test)
        : notes(test.labels.notes), spec_(spec), test_(*test.images) {
        if (auto note = data::note_on_patients(test_, data::label_rule(spec)); !note.empty())
            notes.push_back(std::move(note));
        if (!spec.region.empty()) return;  // a row is a region, and an image may have several
        if (const auto again = data::repeated_images(test_)) notes.push_back("test: " + *again);
    }

    void say_once(const std::vector<std::string>& more) {
        for (const auto& note : more)
            if (std::ranges::find(notes, note) == notes.end()) notes.push_back(note);
    }

    void mention(const data::Part& seen, const std::string& whose) {
        const auto common = data::overlap(seen, part(test_, spec_));
        if (common.any()) notes.push_back(sentence(common, "test images are known from " + whose));
    }

    /// `division` is what to write where the images have a column `split`.
    void refuse(const data::Part& seen, const std::string& whose, const std::string& division) {
        const auto before = notes.size();
        mention(seen, whose);
        if (notes.size() == before || spec_.overlap) return;
        refuse(test_.cell(0, "split")
                   ? fmt::format("divide them by patient, such as {}", division)
                   : fmt::format(
                         "{} has no column `split`: add one that holds train, val or test for all films of a "
                         "patient (`hearth data import folder` writes one), then {}{}",
                         spec_.source, division, in_folds(spec_)));
    }

    void refuse_repeated(const data::Overlap& repeated) {
        if (!repeated.any()) return;
        notes.push_back(sentence(repeated, "images are there before under another patient"));
        if (!spec_.overlap)
            refuse("name all films of a patient alike in one column, and write patient = \"COLUMN\"");
    }

    void with_training(const recipe::DataSpec& data, const data::Dataset* trained, bool refused,
                       const std::string& division) {
        std::shared_ptr<const data::Dataset> opened;
        try {
            if (trained == nullptr) opened = trained_images(data);
        } catch (const DataError& error) {  // a finished run may be evaluated where its data are not
            notes.push_back(fmt::format("not compared with the images of [data], which cannot be opened: {}",
                                        error.what()));
            return;
        }
        const auto seen = part(trained == nullptr ? *opened : *trained, data);
        const std::string whose = "the images of [data], which the network is trained on";
        if (refused)
            refuse(seen, whose, division);
        else
            mention(seen, whose + " without labels");
    }

    std::vector<std::string> notes;

  private:
    [[noreturn]] void refuse(const std::string& remedy) const {
        throw RecipeError(
            fmt::format("{}: {}; expected none, since a result on them says nothing about new films: {}; "
                        "or write overlap = true in this section, where that is meant",
                        spec_.origin.text(), notes.back(), remedy));
    }

    const recipe::LabelledSpec& spec_;
    const data::Dataset& test_;
};

bool learns_labels(const recipe::DataSpec& data) {
    return !data.label.empty() || !data.mask.empty();
}

const auto tested = "test_where = 'split == \"test\"'";

}  // namespace

std::vector<std::string> expect_apart(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                      const LabelledSet& train, const LabelledSet& test,
                                      const data::Dataset* trained) {
    Comparison comparison(spec, test);
    comparison.say_once(train.labels.notes);
    if (spec.head.empty()) {
        comparison.refuse(part(*train.images, spec), "the rows that the probe is fitted on",
                          fmt::format("train_where = 'split == \"train\"' and {}", tested));
    } else if (!spec.validation_where.empty() || recipe.data.label.empty()) {
        const auto validation = open_validation(recipe, spec, train, {});
        comparison.refuse(part(*validation.images, spec), "the rows that the threshold is chosen on",
                          fmt::format("validation_where = 'split == \"val\"' and {}", tested));
    }
    comparison.with_training(recipe.data, trained, learns_labels(recipe.data),
                             fmt::format("data.where = 'split == \"train\"' and {}", tested));
    return comparison.notes;
}

std::vector<std::string> expect_folds_apart(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                            const LabelledSet& pool, const data::Dataset* trained) {
    Comparison comparison(spec, pool);
    comparison.refuse_repeated(data::repeated(part(*pool.images, spec), pool.labels.patients));
    comparison.with_training(recipe.data, trained, learns_labels(recipe.data),
                             "data.where = 'split == \"train\"' and train_where = 'split == \"test\"'; or "
                             "data.folds instead of folds");
    return comparison.notes;
}

std::vector<std::string> expect_detection_apart(const recipe::Recipe& recipe, const LabelledSet& normal,
                                                const LabelledSet* validation, const LabelledSet& test,
                                                const data::Dataset* trained) {
    const auto& spec = recipe.detect->labelled;
    Comparison comparison(spec, test);
    comparison.refuse(
        part(*normal.images, spec), "the normal images that scores are standardised on",
        fmt::format("normal_where = 'split == \"train\" and {} == ..' and {}", spec.label, tested));
    if (validation != nullptr)
        comparison.refuse(part(*validation->images, spec), "the rows that the threshold is chosen on",
                          fmt::format("validation_where = 'split == \"val\"' and {}", tested));
    comparison.with_training(recipe.data, trained, /*refused=*/true,
                             fmt::format("data.where = 'split == \"train\"' and {}", tested));
    return comparison.notes;
}

data::Part part_of_section(const data::Dataset& images, const recipe::LabelledSpec& spec) {
    return part(images, spec);
}

data::Part part_of_section(const data::Dataset& images, const recipe::DataSpec& spec) {
    return part(images, spec);
}

std::vector<std::string> expect_validation_apart(const recipe::ValidateSpec& spec, const data::Part& rows,
                                                 const std::vector<Taken>& taken) {
    std::vector<std::string> notes;
    for (const auto& [seen, whose] : taken) {
        const auto common = data::overlap(seen, rows);
        if (!common.any()) continue;
        notes.push_back(sentence(common, "validation images are known from " + whose));
        if (spec.overlap) continue;
        throw RecipeError(fmt::format(
            "{}: validate.where: {}; expected none, since weights chosen on them are not those that do best on "
            "new films: {}; or write overlap = true in this section, where that is meant",
            spec.place("where").text(), notes.back(),
            rows.images.cell(0, "split")
                ? fmt::format("divide them by patient, such as data.where = 'split == \"train\"', where = "
                              "'split == \"val\"' and {}",
                              tested)
                : "there is no column `split`: add one that holds train, val or test for all films of a "
                  "patient (`hearth data import folder` writes one)"));
    }
    return notes;
}

std::string chosen_on_test(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                           const data::Dataset& test) {
    if (!recipe.validate && (!recipe.probe || recipe.probe->every == 0)) return "";
    const auto common_rows = [&] {
        if (!recipe.validate)
            return data::overlap(part(*divide_rows(recipe, *recipe.probe).second.images, *recipe.probe),
                                 part(test, spec));
        const auto rows = validated_images(recipe);
        return data::overlap(validated_part(recipe, *rows), part(test, spec));
    };
    data::Overlap common;
    try {
        common = common_rows();
    } catch (const DataError&) {  // its data are not here any more
        return "";
    }
    if (!common.any()) return "";
    const std::string section = recipe.validate ? "[validate]" : "[probe]";
    return sentence(common, fmt::format("test images are known from the rows that {0} chooses the checkpoint "
                                        "`best` on, which flatters `best`; let {0} test on validation rows",
                                        section));
}

}  // namespace hearth::eval
