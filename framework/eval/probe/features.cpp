#include "eval/probe/features.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <hearth/mixed_precision.hpp>
#include <hearth/precision.hpp>
#include <hearth/text.hpp>

#include "data/requests.hpp"
#include "eval/probe/apart.hpp"
#include "eval/probe/batches.hpp"
#include "host/place.hpp"
#include "train/stepper.hpp"

namespace hearth::eval {

NothingReadable::NothingReadable(const data::Dataset& images)
    : DataError("found no labelled, readable image to evaluate on, expected at least one" +
                (data::most_missing(images).empty() ? "" : "; " + data::most_missing(images))) {}

Labels read_labels(const data::Dataset& dataset, const recipe::LabelledSpec& spec,
                   std::vector<std::string> classes) {
    return data::read_labels(dataset, data::label_rule(spec), std::move(classes));
}

namespace {

/// The key of a filter of the section.
std::string key_of_filter(const recipe::LabelledSpec& spec, const std::string& where) {
    if (where == spec.test_where) return "test_where";
    if (where == spec.train_where)
        return spec.written.contains("normal_where") ? "normal_where" : "train_where";
    return "validation_where";
}

}  // namespace

std::shared_ptr<const data::Dataset> open_rows(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                               const std::string& where) {
    auto request = data::dataset_request(recipe.data, spec, where);
    const auto key = key_of_filter(spec, where);
    request.where_place = fmt::format("{}: {}", spec.place(key).text(), key);
    const bool probes = spec.head.empty() && !spec.written.contains("normal_where");
    request.without_split =
        probes ? folds_instead : fmt::format("where all of its rows are meant, write {} = \"\"", key);
    return data::open_dataset(request);
}

Context evaluation_context(c10::Device device) {
    Context context;
    context.training = context.learns = false;
    context.device = device;
    return context;
}

bool evaluates_in_bf16(const recipe::Recipe& recipe, c10::Device device) {
    return device.is_cuda() && train::use_bf16(recipe.train.precision, device);
}

std::int64_t evaluation_batch(const recipe::DataSpec& data, c10::Device device) {
    constexpr std::int64_t least = 64, most = 256, pixels = std::int64_t{16} << 20;
    return device.is_cuda() ? std::clamp(pixels / (data.size * data.size), least, most) : least;
}

namespace {

/// Rows that an extractor made, on the CPU in the end.
class Rows {
  public:
    void add(const at::Tensor& rows) {
        waiting_.push_back(rows.to(at::kFloat));
        bytes_ += waiting_.back().nbytes();
        if (rows.is_cpu() || bytes_ >= most_waiting) fetch();
    }
    /// Undefined where there is none.
    at::Tensor take() {
        fetch();
        return here_.empty() ? at::Tensor() : at::cat(here_);
    }

  private:
    static constexpr std::size_t most_waiting = std::size_t{64} << 20;

    void fetch() {
        if (waiting_.empty()) return;
        here_.push_back((waiting_.size() == 1 ? waiting_.front() : at::cat(waiting_)).to(at::kCPU));
        waiting_.clear();
        bytes_ = 0;
    }

    std::vector<at::Tensor> waiting_, here_;
    std::size_t bytes_ = 0;  ///< of those that wait
};

LabelledSet part_of(const LabelledSet& set, const data::SubsetRule& rule) {
    const auto rows = data::choose(set.labels.strata(), set.labels.patients, rule);
    return {data::part_of(set.images, rows), data::rows_of(set.labels, rows)};
}

std::string place_of_folds(const recipe::LabelledSpec& spec) {
    return spec.place("folds").text() + ": folds";
}

/// Folds of other rows would be other folds, and test images would have been trained on.
void check_same_rows(const recipe::DataSpec& data, const recipe::LabelledSpec& spec) {
    const auto check = [&](const char* ours, const std::string& found, const char* theirs,
                           const std::string& expected) {
        if (found != expected)
            throw RecipeError(
                fmt::format("{}: found {} = \"{}\", expected \"{}\" as {}: with data.folds both divide "
                            "the same rows by the same labels",
                            spec.place(ours).text(), ours, found, expected, theirs));
    };
    check("source", spec.source, "data.source", data.source);
    check("train_where", spec.train_where, "data.where", data.where);
    check("label", spec.label, "data.label", data.label);
    check("positive", spec.positive, "data.positive", data.positive);
    check("negative", spec.negative, "data.negative", data.negative);
    check("uncertain", spec.uncertain, "data.uncertain", data.uncertain);
    check("blank", spec.blank, "data.blank", data.blank);
    check("patient", spec.patient, "data.patient", data.patient);
    if (data.source != "phantom") return;
    const auto text = [](std::int64_t number) { return std::to_string(number); };
    check("phantom_count", text(spec.phantom_count), "data.phantom_count", text(data.phantom_count));
    check("phantom_seed", text(spec.phantom_seed), "data.phantom_seed", text(data.phantom_seed));
}

}  // namespace

LabelledSet open_pool(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec) {
    LabelledSet pool{open_rows(recipe, spec, spec.train_where), {}};
    pool.labels = read_labels(*pool.images, spec, {});
    return pool;
}

std::pair<LabelledSet, LabelledSet> divide_rows(const recipe::Recipe& recipe,
                                                const recipe::LabelledSpec& spec) {
    const auto pool = open_pool(recipe, spec);
    auto rule = data::subset_rule(recipe.data);
    rule.fraction = spec.fraction;
    rule.fraction_place = spec.place("fraction").text() + ": fraction";
    if (rule.folds > 0) check_same_rows(recipe.data, spec);
    if (spec.folds > 0) {
        rule.folds = static_cast<int>(spec.folds);
        rule.folds_place = place_of_folds(spec);
    }
    auto train = part_of(pool, rule);
    if (rule.folds > 0) {
        rule.held_out = true;
        return {std::move(train), part_of(pool, rule)};
    }
    LabelledSet test{open_rows(recipe, spec, spec.test_where), {}};
    test.labels = read_labels(*test.images, spec, train.labels.classes);
    return {std::move(train), std::move(test)};
}

std::pair<LabelledSet, LabelledSet> open_splits(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                                                const data::Dataset* trained) {
    auto splits = divide_rows(recipe, spec);
    splits.second.notes = expect_apart(recipe, spec, splits.first, splits.second, trained);
    return splits;
}

std::pair<LabelledSet, LabelledSet> open_evaluated(const recipe::Recipe& recipe,
                                                   const recipe::LabelledSpec& spec,
                                                   const data::Dataset* trained) {
    if (spec.folds == 0) return open_splits(recipe, spec, trained);
    auto pool = open_pool(recipe, spec);
    // Throws where there are fewer patients than folds.
    static_cast<void>(
        data::assign_folds(pool.labels.strata(), pool.labels.patients, static_cast<int>(spec.folds),
                           static_cast<std::uint64_t>(recipe.data.split_seed), place_of_folds(spec)));
    pool.notes = expect_folds_apart(recipe, spec, pool, trained);
    return {pool, pool};
}

LabelledSet open_validation(const recipe::Recipe& recipe, const recipe::LabelledSpec& spec,
                            const LabelledSet& train, const train::TrainingData& trained_on) {
    if (spec.validation_where.empty())
        // Not all of train_where: a threshold chosen with more labels than the network had would flatter it.
        return trained_on.labels.of.empty() ? train : LabelledSet{trained_on.images, trained_on.labels};
    LabelledSet out{open_rows(recipe, spec, spec.validation_where), {}};
    out.labels = read_labels(*out.images, spec, train.labels.classes);
    return out;
}

void add_rows(FeatureSet& out, const LabelledSet& set, const std::vector<std::int64_t>& images) {
    for (const auto image : images) {
        const auto known = set.labels.row(image);
        out.labels.insert(out.labels.end(), known.begin(), known.end());
        out.patients.push_back(set.labels.patients[static_cast<std::size_t>(image)]);
    }
}

FeatureSet extract(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                   const Extractor& extractor, c10::Device device, const Comm& comm) {
    return extract_rows(
        set, data, limit, [&](const at::Tensor& images, const auto&) { return extractor(images); }, device,
        comm);
}

FeatureSet extract_rows(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                        const RowExtractor& extractor, c10::Device device, const Comm& comm) {
    const at::NoGradGuard no_grad;
    Rows features;
    const auto shared = share_batches(
        set, data, evaluation_batch(data, device), limit,
        [&](const at::Tensor& images, const std::vector<std::int64_t>& rows) {
            features.add(extractor(images, rows));
        },
        device, comm);
    FeatureSet out;
    add_rows(out, set, shared.images);
    out.odd = shared.odd;
    out.x = gather_shared(features.take(), shared, comm);
    if (!out.x.defined()) throw NothingReadable(*set.images);
    return out;
}

at::Tensor join_features(const Tensors& made, const std::string& which, const std::string& network) {
    std::vector<at::Tensor> parts;
    if (which.find("cls") != std::string::npos && made.has("cls")) parts.push_back(made["cls"]);
    if (which.find("mean") != std::string::npos && made.has("tokens")) {
        const auto& tokens = made["tokens"];
        parts.push_back(tokens.mean(1, /*keepdim=*/false, at_least_float(tokens.scalar_type())));
    }
    if (parts.empty())
        throw RecipeError(fmt::format("features = \"{}\": the backbone of '{}' writes neither cls nor tokens",
                                      which, network));
    return at::cat(parts, 1);
}

std::string features_of(const plan::Plan& plan, const std::string& network, const std::string& asked) {
    const auto* owner = plan.network(network);
    if (!asked.empty() || owner == nullptr || !owner->backbone) return asked;
    const auto said = host::guarded_call(*owner->backbone, network, "features", [&] {
        return dynamic_cast<const Backbone&>(*owner->backbone).features();
    });
    if (said != "cls" && said != "mean" && said != "cls+mean")
        throw PluginError(fmt::format(
            "the backbone of '{}': found \"{}\" from features(), expected \"cls\", \"mean\" or \"cls+mean\"; "
            "say features = \"mean\" or so in the recipe, and tell its author",
            network, said));
    return said;
}

Extractor backbone_features(const plan::Plan& plan, const std::string& network, const std::string& asked,
                            const Context& context, bool bf16) {
    return
        [&plan, network, which = features_of(plan, network, asked), context, bf16](const at::Tensor& images) {
            return join_features(frozen_outputs(plan, network, images, context, bf16), which, network);
        };
}

Tensors frozen_outputs(const plan::Plan& plan, const std::string& network, const at::Tensor& images,
                       const Context& context, bool bf16) {
    const auto moved = images.to(context.device, /*non_blocking=*/true);
    const MixedPrecision mixed(context.device.type(), bf16);
    return plan.features(network, moved, context);
}

Extractor pixel_projection(std::int64_t dimensions, std::uint64_t seed) {
    auto matrix = std::make_shared<at::Tensor>();
    return [=](const at::Tensor& images) {
        const auto flat = images.flatten(1);
        if (!matrix->defined()) {
            auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
            *matrix =
                at::randn({flat.size(1), dimensions}, generator) / std::sqrt(static_cast<double>(flat.size(1)));
        }
        return at::mm(flat, *matrix);
    };
}

std::string backbone_network(const plan::Plan& plan, const std::string& wanted, const std::string& asked) {
    std::vector<std::string> names;
    for (const auto& network : plan.networks()) {
        if (!network.backbone) continue;
        if (wanted.empty() ? network.trained() : network.name == wanted) return network.name;
        names.push_back(network.name);
    }
    if (wanted.empty())
        throw RecipeError(fmt::format(
            "{}: the recipe trains no network with a backbone, so there are no features to evaluate; "
            "say whose are read with network = \"NAME\", one of {}",
            asked, names.empty() ? "none" : join(names)));
    throw RecipeError(fmt::format("{}: found no network '{}' with a backbone, expected one of {}{}", asked,
                                  wanted, names.empty() ? "none" : join(names), did_you_mean(wanted, names)));
}

std::string backbone_network(const plan::Plan& plan, const recipe::LabelledSpec& spec) {
    return backbone_network(plan, spec.network, spec.place("network").text());
}

}  // namespace hearth::eval
