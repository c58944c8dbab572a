#include "runs/opened_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "data/requests.hpp"
#include "data/subset.hpp"
#include "eval/anomaly/score.hpp"
#include "eval/probe/apart.hpp"
#include "eval/probe/notes.hpp"
#include "eval/probe/suitable.hpp"
#include "eval/probe/validated.hpp"
#include "train/validation.hpp"

namespace hearth::runs {
namespace {

/// What went wrong, each once: several sections may name one table.
class Mistakes {
  public:
    template <typename Open>
    void collect(const Open& open) {
        try {
            open();
        } catch (const Error& error) {
            if (texts_.empty()) code_ = error.code();
            if (std::ranges::find(texts_, error.what()) == texts_.end()) texts_.emplace_back(error.what());
        }
    }
    bool empty() const { return texts_.empty(); }
    void throw_all(const std::string& file) const {
        if (texts_.size() == 1) throw Error(code_, texts_.front());
        throw Error(code_, fmt::format("{}: {} mistakes in what it names\n  {}", file, texts_.size(),
                                       join(texts_, "\n  ")));
    }

  private:
    ExitCode code_ = ExitCode::data;
    std::vector<std::string> texts_;
};

/// Masks of a section by key and column. Most of their files are there, or the column is another one.
void look_for_masks(const recipe::LabelledSpec& spec, const char* key, const std::string& column,
                    const data::Dataset& images, const std::string& section) {
    if (column.empty()) return;
    const auto place = fmt::format("{}: {}.{}", spec.place(key).text(), section, key);
    const auto missing = data::missing_masks(images, column, place);
    if (missing.count > 0 && missing.most())
        throw DataError(fmt::format(
            "{}: {}; paths of a table start at its own folder: set {} to the column that holds the masks, or "
            "correct its cells",
            place, missing.text(column), key));
}

void look_for_masks(const recipe::LabelledSpec& spec, const data::Dataset& images, const std::string& section) {
    look_for_masks(spec, "mask", spec.mask, images, section);
    look_for_masks(spec, "region", spec.region, images, section);
}

/// Columns of [detect] that are read only when images are scored.
void check_columns(const recipe::DetectSpec& spec, const data::Dataset& images) {
    const auto& from = spec.labelled;
    if (!spec.kind.empty() && !images.cell(0, spec.kind))
        throw RecipeError(
            fmt::format("{}: detect.kind: {}", from.place("kind").text(), data::no_column(images, spec.kind)));
    look_for_masks(from, "mask", spec.mask, images, "detect");
}

/// What is known of masks that are not there before one is opened.
void note_missing_masks(const data::Dataset& images, const std::string& column, const std::string& part,
                        std::vector<std::string>& out) {
    if (column.empty()) return;
    if (const auto missing = data::missing_masks(images, column, part); missing.count > 0)
        out.push_back(fmt::format("{}: {}: what needs a mask leaves {} out", part, missing.text(column),
                                  missing.count == 1 ? "it" : "them"));
}

/// Training ends where more images than data.max_bad cannot be read, so their files are looked for now.
void expect_files(const data::Dataset& images, const recipe::DataSpec& spec, const std::string& place,
                  std::vector<std::string>& notes) {
    const auto missing = data::missing_images(images);
    if (missing.count == 0) return;
    if (const auto most = data::most_missing(images); !most.empty()) throw DataError(place + ": " + most);
    if (static_cast<double>(missing.count) > spec.max_bad * static_cast<double>(missing.of))
        throw DataError(fmt::format(
            "{}: {}; expected at most {:.2g} % that cannot be read (data.max_bad): put the files there, "
            "or leave their rows out; `hearth data check TABLE` lists them",
            place, missing.text(), 100 * spec.max_bad));
    notes.push_back(fmt::format("{}: {} left out", missing.text(), missing.count == 1 ? "it is" : "they are"));
}

/// What cannot be read of other sections is left out.
void note_missing_files(const data::Dataset& images, const std::string& part, std::vector<std::string>& out) {
    if (const auto missing = data::missing_images(images); missing.count > 0)
        out.push_back(fmt::format("{}: {}: {} left out", part, missing.text(),
                                  missing.count == 1 ? "it is" : "they are"));
}

/// Reads an image, and others where it cannot be: a table whose paths lead nowhere shows now. `place` is that
/// of the key that names the table.
void read_one(const data::Dataset& images, const std::string& place) {
    constexpr std::int64_t most = 5;
    const auto count = std::min(most, images.size());
    std::string reasons;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto index = i * images.size() / count;
        try {
            static_cast<void>(images.load(index));
            return;
        } catch (const std::exception& error) {
            const std::string name = images.name(index), why = error.what();
            reasons += "\n    " + (why.starts_with(name) ? why : name + ": " + why);
        }
    }
    if (const auto missing = data::most_missing(images); !missing.empty())
        throw DataError(place + ": " + missing);
    throw DataError(fmt::format("{}: tried {} of {} images, expected to read one:{}", place, count,
                                images.size(), reasons));
}

std::int64_t count_patients(const data::Dataset& images, const std::string& column) {
    const auto patients = data::patients_of(images, column);
    return patients.empty() ? 0 : 1 + *std::ranges::max_element(patients);
}

/// "normal 120, pneumonia 80"; of several labels how many images have each.
std::string classes_text(const data::Labels& labels) {
    std::vector<std::string> out;
    for (std::size_t c = 0; c < labels.classes.size(); ++c) {
        std::size_t count = 0;
        for (std::size_t i = 0; i < labels.of.size(); ++i)
            count += labels.several ? i % labels.classes.size() == c && labels.of[i] == 1
                                    : labels.of[i] == static_cast<int>(c);
        out.push_back(fmt::format("{} {}", labels.classes[c], count));
    }
    const auto without = labels.several ? 0 : std::ranges::count(labels.of, -1);
    if (without > 0) out.push_back(fmt::format("no label {}", without));
    return join(out);
}

/// ", fold 0 of 5" where [data] is divided.
std::string fold_of_data(const recipe::Recipe& recipe) {
    return recipe.data.folds == 0 ? "" : fmt::format(", fold {} of {}", recipe.data.fold, recipe.data.folds);
}

/// The fold that the test rows of a section are, where they are one.
std::string fold_text(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec) {
    return spec.folds > 0 ? fmt::format(", fold 0 of {}", spec.folds) : fold_of_data(recipe);
}

/// Whether a section is opened: [validate] needs the one that measures what it watches.
bool opened(const recipe::Recipe& recipe, const recipe::Opens& opens, const std::string& section) {
    return recipe::opens_section(opens, section) ||
           (recipe::opens_section(opens, "data") && recipe.validate && recipe.validate->section() == section);
}

/// All that the rows of [validate] must not hold.
std::vector<eval::Taken> taken(const Tables& tables, const recipe::Recipe& recipe) {
    const auto section = recipe.validate->section();
    std::vector<eval::Taken> out = {{eval::part_of_section(*tables.data->images, recipe.data),
                                     "the images of [data], which the network is trained on"}};
    const auto add = [&](const data::Dataset& images, const recipe::LabelledSpec& spec, const char* whose) {
        out.push_back({eval::part_of_section(images, spec), whose});
    };
    if (section == "probe")
        add(*tables.probe->first.images, *recipe.probe, "the rows that the probe is fitted on");
    if (section == "detect")
        add(*tables.detect->normal.images, recipe.detect->labelled,
            "the normal images that scores are standardised on");
    if (tables.eval)
        add(*tables.eval->second.images, *recipe.eval, "the rows that [eval] tests on");
    else if (tables.probe && !recipe.eval)
        add(*tables.probe->second.images, *recipe.probe,
            "the rows that [probe] tests on, which a recipe without [eval] is evaluated on");
    if (tables.detect)
        add(*tables.detect->test.images, recipe.detect->labelled, "the rows that [detect] tests on");
    return out;
}

/// Nothing where a table that it needs could not be opened.
std::optional<train::TrainingData> open_validation_rows(const Tables& tables, const recipe::Recipe& recipe) {
    const auto section = recipe.validate->section();
    if (!tables.data || (section == "probe" && !tables.probe) || (section == "detect" && !tables.detect))
        return std::nullopt;
    train::TrainingData out;
    if (section == "data") {
        out = train::open_validation(recipe, tables.data->labels);
    } else {
        // Of [detect] the classes are the two that its test rows have, in any number.
        auto rows = eval::open_validated(recipe, section == "probe" ? tables.probe->first.labels.classes
                                                                    : tables.detect->test.labels.classes);
        out.images = rows.images;
        out.labels = std::move(rows.labels);
    }
    read_one(*out.images, recipe.validate->place("where").text() + ": validate.where");
    out.notes = eval::expect_validation_apart(*recipe.validate, eval::validated_part(recipe, *out.images),
                                              taken(tables, recipe));
    return out;
}

}  // namespace

Tables open_tables(const recipe::Recipe& recipe, const host::Registry& registry, const recipe::Opens& opens) {
    Tables out;
    Mistakes mistakes;
    const auto place_of = [&](const recipe::LabelledSpec& spec) {
        return data::dataset_request(recipe.data, spec, "").source_place;
    };
    if (recipe::opens_section(opens, "data"))
        mistakes.collect([&] {
            out.data = train::open_uncached(recipe.data);  // packing would read every image
            const auto place = data::dataset_request(recipe.data).source_place;
            expect_files(*out.data->images, recipe.data, place, out.data->notes);
            read_one(*out.data->images, place);
        });
    const auto* trained = out.data ? out.data->images.get() : nullptr;
    if (opened(recipe, opens, "probe") && recipe.probe)
        mistakes.collect([&] {
            out.probe = recipe.probe->every > 0 ? eval::open_splits(recipe, *recipe.probe, trained)
                                                : eval::open_evaluated(recipe, *recipe.probe, trained);
            for (const auto* set : {&out.probe->first, &out.probe->second})
                look_for_masks(*recipe.probe, *set->images, "probe");
            read_one(*out.probe->second.images, place_of(*recipe.probe));
        });
    if (recipe::opens_section(opens, "eval") && recipe.eval)
        mistakes.collect([&] {
            out.eval = eval::open_evaluated(recipe, *recipe.eval, trained);
            for (const auto* set : {&out.eval->first, &out.eval->second})
                look_for_masks(*recipe.eval, *set->images, "eval");
            read_one(*out.eval->second.images, place_of(*recipe.eval));
        });
    if (opened(recipe, opens, "detect") && recipe.detect)
        mistakes.collect([&] {
            auto images = eval::open_anomaly_images(recipe, trained);
            check_columns(*recipe.detect, *images.test.images);
            read_one(*images.test.images, place_of(recipe.detect->labelled));
            out.detect = std::move(images);
        });
    if (recipe::opens_section(opens, "data") && recipe.validate)
        mistakes.collect([&] { out.validate = open_validation_rows(out, recipe); });
    if (mistakes.empty()) return out;
    for (const auto& stage : recipe::stages(recipe))
        mistakes.collect([&] { static_cast<void>(plan::Plan::build(stage, registry)); });
    mistakes.throw_all(recipe.file.string());
    return out;
}

Tables open_tables_beside(const recipe::Recipe& recipe, const recipe::Opens& opens) {
    Tables out;
    if (opened(recipe, opens, "probe") && recipe.probe && recipe.probe->every > 0)
        out.probe = eval::divide_rows(recipe, *recipe.probe);
    return out;
}

report::Table table_of(const Tables& tables, const recipe::Recipe& recipe) {
    using report::Align;
    report::Table table;
    table.headers = {"table", "images", "patients", "classes"};
    table.align = {Align::left, Align::right, Align::right, Align::left};
    const auto add = [&](const std::string& part, const data::Dataset& images, const data::Labels& labels,
                         const std::string& patient) {
        table.rows.push_back({part, std::to_string(images.size()),
                              std::to_string(count_patients(images, patient)), classes_text(labels)});
    };
    if (tables.data)
        add("[data]" + fold_of_data(recipe), *tables.data->images, tables.data->labels, recipe.data.patient);
    if (tables.validate && recipe.validate) {
        const auto* section = eval::validated_section(recipe);
        add("[validate]", *tables.validate->images, tables.validate->labels,
            section != nullptr ? section->patient : recipe.data.patient);
    }
    for (const auto& [name, splits, spec] :
         {std::tuple("probe", &tables.probe, &recipe.probe), {"eval", &tables.eval, &recipe.eval}}) {
        if (!*splits || !*spec) continue;  // of another stage
        const auto& [train, test] = **splits;
        if ((*spec)->folds > 0 && train.images == test.images) {
            add(fmt::format("[{}] in {} folds", name, (*spec)->folds), *test.images, test.labels,
                (*spec)->patient);
            continue;
        }
        const auto fold = fold_text(recipe, **spec);
        add(fmt::format("[{}] training{}", name, fold), *train.images, train.labels, (*spec)->patient);
        add(fmt::format("[{}] test{}", name, fold), *test.images, test.labels, (*spec)->patient);
    }
    if (tables.detect && recipe.detect) {
        const auto& [normal, validation, test] = *tables.detect;
        const auto& patient = recipe.detect->labelled.patient;
        add("[detect] normal", *normal.images, normal.labels, patient);
        if (validation) add("[detect] validation", *validation->images, validation->labels, patient);
        add("[detect] test", *test.images, test.labels, patient);
    }
    return table;
}

void check_readable(const recipe::Recipe& recipe, const plan::Plan& plan) {
    eval::check_readable(recipe, plan);
    if (!recipe.detect) return;
    for (const auto& score : recipe.detect->scores)
        static_cast<void>(eval::make_scorer(score, recipe.data, plan));
}

void check_fit(const Tables& tables, const recipe::Recipe& recipe, const plan::Plan& plan, bool evaluates) {
    check_readable(recipe, plan);
    if (!evaluates) return;
    if (tables.eval)
        eval::check_data(recipe, *recipe.eval, *tables.eval, plan);
    else if (tables.probe && !recipe.eval)
        eval::check_data(recipe, *recipe.probe, *tables.probe, plan);
}

std::vector<std::string> notes_on(const Tables& tables, const recipe::Recipe& recipe) {
    std::vector<std::string> out;
    if (tables.eval) out = eval::notes_on_rows(recipe, *recipe.eval, tables.eval->second);
    if (tables.probe && !recipe.eval) out = eval::notes_on_rows(recipe, *recipe.probe, tables.probe->second);
    if (tables.validate)
        for (const auto& note : tables.validate->notes) out.push_back("[validate]: " + note);
    if (tables.probe && recipe.eval)
        for (const auto& note : tables.probe->second.notes) out.push_back("[probe]: " + note);
    for (const auto& [section, splits, spec] :
         {std::tuple("probe", &tables.probe, &recipe.probe), {"eval", &tables.eval, &recipe.eval}}) {
        if (!*splits) continue;
        for (const auto& [part, set] :
             {std::pair("training", &(**splits).first), {"test", &(**splits).second}}) {
            const auto place = fmt::format("[{}] {}", section, part);
            note_missing_masks(*set->images, (*spec)->mask, place, out);
            note_missing_masks(*set->images, (*spec)->region, place, out);
            note_missing_files(*set->images, place, out);
        }
    }
    if (tables.detect) {
        for (const auto& note : tables.detect->test.notes) out.push_back("[detect]: " + note);
        note_missing_masks(*tables.detect->test.images, recipe.detect->mask, "[detect] test", out);
        note_missing_files(*tables.detect->normal.images, "[detect] normal", out);
        note_missing_files(*tables.detect->test.images, "[detect] test", out);
        if (tables.data)
            if (auto note = eval::note_on_abnormal(recipe, *tables.data->images); !note.empty())
                out.push_back(std::move(note));
    }
    if (tables.probe && recipe.probe->every > 0)
        for (const auto& note : eval::notes_on_absent(
                 tables.probe->second.labels,
                 recipe.validate ? "knn_auc while training is undefined"
                                 : "knn_auc while training is undefined and chooses no `best`"))
            out.push_back("[probe]: " + note);
    return out;
}

}  // namespace hearth::runs
