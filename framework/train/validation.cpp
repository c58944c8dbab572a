#include "train/validation.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/mixed_precision.hpp>
#include <hearth/text.hpp>
#include <utility>

#include "data/requests.hpp"
#include "train/stepper.hpp"

namespace hearth::train {
namespace {

/// The least batches of at most `batch` samples, alike in size: no last one of a single image, of which many a
/// loss makes nothing.
std::int64_t even_batch(std::int64_t images, std::int64_t batch, std::int64_t copies) {
    const auto most = std::max<std::int64_t>(1, batch / copies);
    const auto batches = (images + most - 1) / most;
    return (images + batches - 1) / batches * copies;
}

double& value_of(Terms& values, const std::string& name) {
    auto found = std::ranges::find(values, name, &Terms::value_type::first);
    if (found == values.end()) found = values.insert(found, {name, 0});
    return found->second;
}

}  // namespace

TrainingData open_validation(const recipe::Recipe& recipe, const data::Labels& trained) {
    auto spec = recipe.data;
    spec.where = recipe.validate->where;
    auto request = data::dataset_request(spec);
    request.where_place = recipe.validate->place("where").text() + ": validate.where";
    request.without_split.clear();  // all rows are those that are trained on
    TrainingData out;
    out.images = data::open_dataset(request);
    out.whole = out.images;
    if (!spec.label.empty())
        out.labels = data::read_labels(*out.images, data::label_rule(spec), trained.classes);
    return out;
}

void require_watched_term(const recipe::Recipe& recipe, const std::vector<std::string>& terms) {
    if (!recipe.validate || recipe.validate->section() != "data") return;
    const auto& watch = recipe.validate->watch;
    if (watch == "total" || std::ranges::find(terms, watch) != terms.end()) return;
    const auto loss = watch.substr(0, watch.find('.') + 1);
    std::vector<std::string> choices = {"total"};
    std::ranges::copy(terms, std::back_inserter(choices));
    throw RecipeError(
        fmt::format("{}: validate.watch: found \"{}\", but '{}' has no such term, expected one of "
                    "{}{}",
                    recipe.validate->place("watch").text(), watch, loss.substr(0, loss.size() - 1),
                    join(choices), did_you_mean(watch, choices)));
}

Validation::Validation(const recipe::Recipe& recipe, const plan::Plan& plan, TrainingData rows,
                       c10::Device device)
    : recipe_(recipe),
      plan_(plan),
      images_(rows.images->size()),
      bf16_(use_bf16(recipe.train.precision, device)) {
    auto options = loader_options(recipe, plan, rows.labels, Comm::local(), device);
    options.batch = even_batch(images_, options.batch, options.copies);
    options.shuffle = options.drop_last = false;
    options.cache = rows.cache.kind == "memory";
    loader_ = step_loader(std::move(rows.images), std::move(options), plan);
}

Terms Validation::measure(Context now, const Told& told) {
    Sums sums;
    std::int64_t samples = 0;
    now.draw = 0;
    loader_->begin(/*epoch=*/0);
    for (Tensors batch; loader_->next(batch); now.draw += plan_.phases().size()) {
        samples += batch["index"].size(0);
        add(std::move(batch), now, sums);
        batch = {};
        if (told) told(samples / recipe_.data.samples_per_image, images_);
    }
    for (auto& [name, sum] : sums.of) sum /= static_cast<double>(samples) - value_of(sums.empty, name);
    return sums.of;
}

// A term that is no number has no sample in the batch, and nor has a total of none but such terms.
void Validation::add(Tensors batch, const Context& now, Sums& sums) const {
    // What draws from LibTorch's generator draws the same each time, whatever ran before.
    at::manual_seed(now.seed * 1000003u + now.draw);
    const auto rows = static_cast<double>(batch["index"].size(0));
    Tensors here;
    for (const auto& [name, tensor] : batch)
        here.set(name, data::moved(tensor, now.device, loader_->channels()));
    auto context = now;
    std::size_t terms = 0, empty = 0;
    for (const auto& phase : plan_.phases()) {
        const at::AutoGradMode gradients(!phase.asked.empty());
        const MixedPrecision mixed(now.device.type(), bf16_);
        const auto out = plan_.step(phase, here, context);
        for (const auto& name : phase.keeps)
            if (out.tensors.has(name)) here.set(name, out.tensors[name].detach());
        if (out.total.defined()) value_of(sums.of, "total") += rows * out.total.item<double>();
        for (const auto& [name, value] : out.terms) {
            const double number = value.item<double>();
            const bool none = std::isnan(number);
            value_of(sums.of, name) += none ? 0 : rows * number;
            value_of(sums.empty, name) += none ? rows : 0;
            ++terms;
            empty += none;
        }
        ++context.draw;
    }
    if (terms > 0 && empty == terms) value_of(sums.empty, "total") += rows;
}

double watched_value(const Terms& values, const recipe::Recipe& recipe) {
    std::vector<std::string> names;
    for (const auto& [name, value] : values) {
        if (name == recipe.validate->watch) return value;
        if (name != "total") names.push_back(name);
    }
    require_watched_term(recipe, names);
    return values.front().second;
}

StateKeeper::StateKeeper(const plan::Plan& plan) {
    for (const auto& [name, tensor] : plan.state()) kept_.emplace_back(tensor, tensor.detach().clone());
}

StateKeeper::~StateKeeper() {
    const at::NoGradGuard no_grad;
    for (auto& [tensor, held] : kept_) {
        if (tensor.sizes() != held.sizes()) tensor.resize_(held.sizes());
        tensor.copy_(held);
    }
}

}  // namespace hearth::train
