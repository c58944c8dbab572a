#include "train/training_data.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <hearth/error.hpp>
#include <optional>

#include "base/activity.hpp"
#include "data/repeated.hpp"
#include "data/requests.hpp"
#include "dist/process_group.hpp"
#include "train/seed.hpp"

namespace hearth::train {

namespace {

ImageCache cache_for(const recipe::DataSpec& spec, std::int64_t trained, std::int64_t all, const Comm* comm) {
    if (comm == nullptr) return {.kind = spec.cache == "packed" ? "packed" : "none"};
    auto cache = choose_cache(spec, trained, all);
    auto packs = at::full({1}, cache.kind == "packed" ? 1 : 0, at::kFloat);
    comm->all_reduce_sum(packs);
    if (cache.automatic && packs.item<float>() > 0) cache.kind = "packed";
    return cache;
}

/// A mask that cannot be read ends the training, so its file is looked for now.
void expect_masks(const data::Dataset& images, const recipe::DataSpec& spec) {
    const auto written = spec.written.find("mask");
    const auto place =
        fmt::format("{}: data.mask", (written == spec.written.end() ? spec.origin : written->second).text());
    const auto missing = data::missing_masks(images, spec.mask, place);
    if (missing.count > 0)
        throw DataError(
            fmt::format("{}: {}; expected a mask for each: put the files there, leave the cells empty where "
                        "nothing is known, or leave the rows out with data.where",
                        place, missing.text(spec.mask)));
}

}  // namespace

TrainingData open_uncached(const recipe::DataSpec& spec) {
    TrainingData out;
    out.images = data::open_dataset(data::dataset_request(spec));
    out.whole = out.images;
    if (const auto repeated = data::repeated_images(*out.images)) out.notes.push_back(*repeated);
    data::expect_patients(*out.images, data::label_rule(spec));
    if (auto note = data::note_on_patients(*out.images, data::label_rule(spec)); !note.empty())
        out.notes.push_back(std::move(note));
    if (!spec.mask.empty()) expect_masks(*out.images, spec);
    if (spec.label.empty()) return out;
    out.labels = data::read_labels(*out.images, data::label_rule(spec));
    out.notes.insert(out.notes.end(), out.labels.notes.begin(), out.labels.notes.end());
    if (spec.fraction >= 1 && spec.folds == 0) return out;
    out.rows = data::choose(out.labels.strata(), out.labels.patients, data::subset_rule(spec));
    out.labels = data::rows_of(out.labels, *out.rows);
    out.images = data::part_of(out.whole, *out.rows);
    return out;
}

TrainingData with_cache(TrainingData opened, const recipe::DataSpec& spec, const Comm* comm, bool quiet) {
    base::Activity activity(quiet, "opening " + spec.source);
    opened.cache = cache_for(spec, opened.images->size(), opened.whole->size(), comm);
    if (const auto note = opened.cache.warning(); !note.empty()) opened.notes.push_back(note);
    if (opened.cache.kind != "packed") return opened;
    auto request = data::pack_request(spec);
    request.progress = [&](std::int64_t done, std::int64_t all, const std::filesystem::path& file) {
        activity.now("packing into " + file.string());
        activity.count(done, all, "images");
    };
    const auto packed = data::packed(opened.whole, request);
    opened.images = opened.rows ? data::part_of(packed, *opened.rows) : packed;
    return opened;
}

TrainingData open_training_data(const recipe::DataSpec& spec, const Comm* comm, bool quiet) {
    auto opened = base::during(quiet, "opening " + spec.source, [&] { return open_uncached(spec); });
    return with_cache(std::move(opened), spec, comm, quiet);
}

void expect_a_step(const recipe::Recipe& recipe, const plan::Plan& plan, std::int64_t images) {
    if (recipe.train.batch == recipe::TrainSpec::auto_batch) return;  // chosen by what there is
    const auto samples = images * recipe.data.samples_per_image;
    const auto batches = recipe.train.accumulate * plan.batches_per_step();
    if (samples / recipe.train.batch >= batches) return;
    throw DataError(fmt::format(
        "found {} images{}, expected at least the {} of a step (train.batch = {}{}); lower train.batch{} or "
        "widen data.where",
        images, recipe.data.samples_per_image > 1 ? fmt::format(" x {}", recipe.data.samples_per_image) : "",
        batches * recipe.train.batch, recipe.train.batch,
        batches > 1 ? fmt::format(", {} batches a step", batches) : "",
        recipe.train.accumulate > 1 ? ", train.accumulate" : ""));
}

data::LoaderOptions loader_options(const recipe::Recipe& recipe, const plan::Plan& plan,
                                   const data::Labels& labels, const Comm& comm, c10::Device device) {
    return {.batch = recipe.train.batch,
            .workers = recipe.data.workers > 0 ? recipe.data.workers : dist::cores_of(comm),
            .prefetch = recipe.data.prefetch,
            .seed = seed_of(recipe),
            .channels = recipe.data.channels,
            .cache = false,
            .copies = recipe.data.samples_per_image,
            .rank = comm.rank(),
            .world = comm.world_size(),
            .max_bad = recipe.data.max_bad,
            .batch_axis = plan.batch_axes(),
            .labels = labels.of,
            .label_width = labels.several ? static_cast<std::int64_t>(labels.classes.size()) : 0,
            .mask = recipe.data.mask,
            .pinned = device.is_cuda(),
            .narrow = device.is_cuda(),
            .written_by = [&plan](const std::string& view) { return plan.place_of(view); }};
}

std::unique_ptr<data::Loader> step_loader(std::shared_ptr<const data::Dataset> images,
                                          data::LoaderOptions options, const plan::Plan& plan) {
    return std::make_unique<data::Loader>(
        std::move(images), std::move(options),
        [&plan](Tensors& views, const RandomKey& key) { plan.prepare(views, key); }, plan.delivered());
}

}  // namespace hearth::train
