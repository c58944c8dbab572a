#include "train/check.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>

#include "data/requests.hpp"
#include "recipe/word_list.hpp"
#include "train/conduct.hpp"
#include "train/dry_run.hpp"
#include "train/fitting.hpp"
#include "train/memory.hpp"
#include "train/monitor.hpp"
#include "train/terms.hpp"
#include "train/training_data.hpp"
#include "train/training_set.hpp"
#include "train/validation.hpp"

namespace hearth::train {
namespace {

/// Prepares samples for the step, of which the first two are made several times and compared.
data::Transform compared(const plan::Plan& plan) {
    return [&plan, left = std::make_shared<std::atomic<int>>(2)](Tensors& views, const RandomKey& key) {
        if (left->fetch_sub(1) > 0) expect_same_views(plan, views, key);
        plan.prepare(views, key);
    };
}

/// Fewer images say little of a fit: a covariance of two vectors has no inverse.
constexpr std::int64_t least_to_fit = 8;

std::shared_ptr<const data::Dataset> phantoms(const recipe::Recipe& recipe, std::int64_t count) {
    auto request = data::dataset_request(recipe.data, "phantom", "");
    request.phantom_count = count;
    return data::open_dataset(request);
}

/// Of two classes in turn, where the recipe wants labels.
data::Labels labels_in_turn(const recipe::Recipe& recipe, std::int64_t count) {
    data::Labels labels;
    const auto columns = recipe::word_list(recipe.data.label);
    labels.several = columns.size() > 1;
    labels.classes = columns;
    for (std::int64_t i = 0; i < count && !columns.empty(); ++i)
        labels.of.insert(labels.of.end(), columns.size(), static_cast<int>(i % 2));
    return labels;
}

/// "; it reads image = image of the data, keep = keep, written by augment.random-patch-mask (a.toml:5:1)".
std::string sources_of(const plan::Plan& plan, const plan::Node& node) {
    std::vector<std::string> reads;
    for (const auto& [writer, reader, wire] : plan.edges()) {
        if (reader != &node) continue;
        reads.push_back(fmt::format("{} = {}{}", wire->port, wire->name,
                                    writer == nullptr
                                        ? " of the data"
                                        : fmt::format(", written by {} ({})", writer->id, writer->where)));
    }
    return reads.empty() ? "" : "; it reads " + join(reads);
}

/// work(observer) for Plan::step(): where a component refuses what it is given, who wrote that is told.
template <class Work>
void told_whose(const plan::Plan& plan, const Work& work) {
    const plan::Node* at = nullptr;
    try {
        work([&](const plan::Node* node) { at = node; });
    } catch (const RecipeError& error) {
        if (at == nullptr) throw;
        throw RecipeError(error.what() + sources_of(plan, *at));
    }
}

/// Buffers of what was fitted that hold no number.
void require_numbers(const plan::Plan& plan, CheckResult& result) {
    for (const auto& node : plan.nodes()) {
        if (std::ranges::find(result.fitted, node.id) == result.fitted.end()) continue;
        for (const auto& buffer : node.component->named_buffers())
            if (at::isnan(buffer.value()).any().item<bool>())
                result.problems.push_back(
                    fmt::format("{}: '{}' of {} is not a number after its fit on {} images", node.where,
                                buffer.key(), node.id, result.fitted_on));
    }
}

/// Tries the fits that come before or after a training, on phantoms.
class Fits {
  public:
    Fits(const recipe::Recipe& recipe, plan::Plan& plan, const Context& context, std::int64_t images)
        : recipe_(small(recipe, images)),
          plan_(plan),
          context_(context),
          images_(phantoms(recipe, recipe_.train.batch)),
          labels_(labels_in_turn(recipe, recipe_.train.batch)) {}

    void attempt(Fit when, CheckResult& result) {
        const auto say = [&](const std::string& what) {
            result.fitted.push_back(what.substr(what.find(' ') + 1));
        };
        const auto set_for = [&](const Component& component, const std::string&) {
            return std::make_unique<PlanTrainingSet>(WholeSet{recipe_, plan_, images_, labels_, context_},
                                                     component);
        };
        const auto note = [&](const Error& error) {
            result.notes.push_back(
                fmt::format("on {} generated images, which may be too few: {}", images_->size(), error.what()));
        };
        try {
            fit_components(plan_, when, context_, set_for, say);
        } catch (const DataError& error) {
            note(error);
        } catch (const NumericError& error) {
            note(error);
        }
        if (!result.fitted.empty()) result.fitted_on = images_->size();
        plan_.train(true);
    }

  private:
    /// One batch of all of them.
    static recipe::Recipe small(recipe::Recipe recipe, std::int64_t images) {
        recipe.train.batch = std::max(images, least_to_fit);
        recipe.data.workers = 1;
        return recipe;
    }

    const recipe::Recipe recipe_;
    plan::Plan& plan_;
    const Context context_;
    const std::shared_ptr<const data::Dataset> images_;
    const data::Labels labels_;
};

/// The forward pass of a step on the CPU, for what components look at there alone, since a GPU would be waited
/// for: an index out of range ends its CUDA.
void try_on_cpu(const recipe::Recipe& recipe, plan::Plan& plan, std::int64_t images) {
    plan.to(c10::kCPU);
    const StateKeeper keeper(plan);
    Context context;
    context.seed = seed_of(recipe);
    context.progress.total_steps = std::max<std::int64_t>(1, recipe.train.epochs);
    CheckResult untold;
    Fits(recipe, plan, context, images).attempt(Fit::before, untold);
    plan.train(false);  // no statistics move, but losses build the graph that a step asks them for
    context.learns = false;
    const auto loader = generated_batches(recipe, plan, images);
    const auto source = endless(*loader);
    Tensors batch;
    source(batch);
    told_whose(plan, [&](const plan::NodeObserver& observer) {
        for (const auto& phase : plan.phases()) {
            if (phase.losses.empty()) continue;
            const auto out = plan.step(phase, batch, context, observer);
            for (const auto& name : phase.keeps)
                if (out.tensors.has(name)) batch.set(name, out.tensors[name].detach());
            ++context.draw;
        }
    });
}

}  // namespace

std::unique_ptr<data::Loader> generated_batches(const recipe::Recipe& recipe, const plan::Plan& plan,
                                                std::int64_t images, data::Transform transform) {
    const auto copies = recipe.data.samples_per_image;
    images = (images + copies - 1) / copies * copies;
    auto options = loader_options(recipe, plan, labels_in_turn(recipe, images / copies));
    options.batch = images;
    options.workers = 1;
    options.pinned = pick_device(recipe.train.device).is_cuda();
    const auto images_of_it = phantoms(recipe, images / copies);
    if (!transform) return step_loader(images_of_it, std::move(options), plan);
    return std::make_unique<data::Loader>(images_of_it, std::move(options), std::move(transform),
                                          plan.delivered());
}

Stepper::Source endless(data::Loader& loader) {
    loader.begin(0);
    return [&loader](Tensors& batch) {
        if (loader.next(batch)) return true;
        loader.begin(0);
        return loader.next(batch);
    };
}

CheckResult check(const recipe::Recipe& recipe, const host::Registry& registry, std::int64_t images) {
    auto plan = plan::Plan::initial(recipe, registry);
    auto result = check(recipe, plan, images);
    expect_state_comes_back(recipe, registry, plan, images);
    return result;
}

CheckResult check(const recipe::Recipe& recipe, plan::Plan& plan, std::int64_t images) {
    auto one_batch = recipe;
    one_batch.train.accumulate = 1;
    if (pick_device(recipe.train.device).is_cuda()) try_on_cpu(one_batch, plan, images);
    DryRun dry_run(std::move(one_batch), plan);
    InputsKept inputs_kept;
    const plan::Watching watching(dry_run.plan, inputs_kept);
    const auto loader = generated_batches(dry_run.recipe, dry_run.plan, images, compared(dry_run.plan));

    CheckResult result;
    result.images = images;
    Context context;
    context.device = dry_run.device;
    context.seed = seed_of(recipe);
    context.progress.total_steps = std::max<std::int64_t>(1, recipe.train.epochs);
    Fits fits(dry_run.recipe, dry_run.plan, context, images);
    fits.attempt(Fit::before, result);
    const auto start = std::chrono::steady_clock::now();
    double total = 0;
    Terms terms;
    std::set<const plan::Phase*> told;
    std::set<std::string> problems;  // a step may have several updates
    const auto look = [&](const plan::StepOutput& out, std::int64_t, bool finite) {
        for (const auto& [node, name] : not_finite(dry_run.plan, out.tensors))
            problems.insert(fmt::format("{}: '{}', written by {}, is not finite", node->where, name, node->id));
        if (!finite) problems.insert("the loss is not finite");
        if (!told.insert(out.phase).second) return;
        total += out.total.item<double>();
        for (const auto& [name, value] : out.terms) terms.emplace_back(name, value.item<double>());
    };
    told_whose(dry_run.plan, [&](const plan::NodeObserver& observer) {
        dry_run.stepper.observe(observer);
        dry_run.stepper.step(context, endless(*loader), look);
        dry_run.stepper.observe({});
    });
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (!told.empty()) terms.insert(terms.begin(), {"loss", total});  // else nothing has a loss
    std::vector<std::string> names;
    for (const auto& [name, value] : terms) names.push_back(name);
    Monitor(recipe.monitor).require(names);
    require_watched_term(recipe, {names.begin() + (told.empty() ? 0 : 1), names.end()});
    const auto shorts = short_names(names);
    for (std::size_t i = 0; i < terms.size(); ++i) result.terms.emplace_back(shorts[i], terms[i].second);
    result.problems.assign(problems.begin(), problems.end());
    result.without_gradient = dry_run.stepper.without_gradient();
    if (!recipe.stage || recipe.stage->number + 1 == recipe.stage->count) fits.attempt(Fit::after, result);
    require_numbers(dry_run.plan, result);
    std::set<std::string> trained;
    for (const auto& [name, tensor] : dry_run.plan.trained_parameters()) {
        trained.insert(name);
        result.trained += tensor.numel();
    }
    for (const auto& [name, tensor] : dry_run.plan.state())
        if (trained.count(name) == 0 && tensor.grad().defined()) result.follower_gradient.push_back(name);
    for (const auto& [name, tensor] : dry_run.plan.state()) {
        result.total += tensor.numel();
        result.weight_bytes += static_cast<std::int64_t>(tensor.nbytes());
    }
    for (const auto& [name, tensor] : dry_run.stepper.state())
        result.optimizer_bytes += static_cast<std::int64_t>(tensor.nbytes());
    result.memory_mib = peak_memory_mib();
    result.device_memory_mib = peak_device_memory_mib(dry_run.device);
    return result;
}

}  // namespace hearth::train
