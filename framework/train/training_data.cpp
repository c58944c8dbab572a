#include "train/training_data.hpp"

#include <ATen/ATen.h>

#include <optional>

#include "base/activity.hpp"
#include "data/repeated.hpp"
#include "data/requests.hpp"
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

}  // namespace

TrainingData open_uncached(const recipe::DataSpec& spec) {
    TrainingData out;
    out.images = data::open_dataset(data::dataset_request(spec));
    out.whole = out.images;
    if (const auto repeated = data::repeated_images(*out.images)) out.notes.push_back(*repeated);
    if (spec.label.empty()) return out;
    out.labels = data::read_labels(*out.images, data::label_rule(spec));
    if (spec.fraction >= 1 && spec.folds == 0) return out;
    out.rows = data::choose(out.labels.strata(), out.labels.patients, data::subset_rule(spec));
    out.labels = data::rows_of(out.labels, *out.rows);
    out.images = data::part_of(out.whole, *out.rows);
    return out;
}

TrainingData with_cache(TrainingData opened, const recipe::DataSpec& spec, const Comm* comm, bool quiet) {
    base::Activity activity(quiet, "opening " + spec.source);
    opened.cache = cache_for(spec, opened.images->size(), opened.whole->size(), comm);
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

data::LoaderOptions loader_options(const recipe::Recipe& recipe, const plan::Plan& plan,
                                   const data::Labels& labels, const Comm& comm, c10::Device device) {
    return {.batch = recipe.train.batch,
            .workers = recipe.data.workers,
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
            .pinned = device.is_cuda()};
}

std::unique_ptr<data::Loader> step_loader(std::shared_ptr<const data::Dataset> images,
                                          data::LoaderOptions options, const plan::Plan& plan) {
    return std::make_unique<data::Loader>(
        std::move(images), std::move(options),
        [&plan](Tensors& views, const RandomKey& key) { plan.prepare(views, key); }, plan.delivered());
}

}  // namespace hearth::train
